import { createHash } from 'node:crypto';
import { syncV1, toAppError } from '@skein/contracts';
import { rootContext } from '@skein/rpc';
import {
  CommandError,
  createSession,
  type KeyValue,
  type Session,
  type SessionState,
  type SocketEvents,
  type SpaceState,
  type TurnReading,
  waitingIn,
} from '@skein/sync-client';
import type { Mutation, MutationResult } from '@skein/sync-core';
import type { Calls } from './calls.ts';
import type { Ground } from './disk.ts';
import type { Door } from './lines.ts';
import { type Line, type LineEvents, openLine } from './lines.ts';
import { type Machine, startMachine } from './machine.ts';
import { shownSoFar } from './turn-oracle.ts';

/** What a device tells the history. */
export interface DeviceWitness {
  /** A position was reached, with these documents. */
  at(device: string, user: string, space: string, state: SpaceState): void;
  /** The server said what became of a mutation. */
  settled(device: string, space: string, mutation: Mutation, result: MutationResult): void;
  /** The server has taken a message. */
  accepted(device: string, space: string, messageId: string, offset: number): void;
  /** Something that must not happen. */
  wrong(text: string): void;
}

/** A device of somebody: the page's session as it is. */
export interface SimulatedDevice {
  /** Its id now: a device that finds somebody else under its id takes another. */
  readonly id: string;
  readonly user: string;
  readonly state: SessionState;
  /** Mutations and messages the server has not answered. */
  readonly waiting: number;
  /** All ids it has had. */
  readonly ids: readonly string[];
  /** Does something to a document now, whether or not there is a line. */
  mutate(space: string, change: Pick<Mutation, 'collection' | 'id' | 'ops'>): void;
  /** Says something in a conversation of its own. */
  say(text: string): void;
  online(is: boolean): void;
  /** The line breaks. */
  cut(): void;
  /** The process ends and begins again with what it had written down, or with nothing but its name. */
  restart(how?: 'forgetting'): void;
}

/** What a device is made of. */
export interface DeviceOptions {
  readonly ground: Ground;
  readonly name: string;
  readonly user: string;
  readonly skewMs: number;
  readonly door: () => Door | undefined;
  readonly calls: Calls;
  readonly witness: DeviceWitness;
  /** The text so far of a turn. */
  readonly turn: (turnId: string) => TurnReading;
  /** A place between the line and the page, for bugs made by hand: gives what the page sees instead. */
  readonly incoming?: (text: string) => readonly string[];
}

/** Text by key, as long as the device exists. */
const storage = (): KeyValue => {
  const kept = new Map<string, string>();
  return {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => void kept.set(key, value),
    removeItem: (key) => void kept.delete(key),
  };
};

/** A device lists the spaces it may read so often: news of a membership may be lost. */
const listEveryMs = 15_000;

interface Frame {
  readonly type: string;
  readonly messageId?: string;
  readonly offset?: number;
}

/** Makes a device and connects it. */
export const startDevice = (options: DeviceOptions): SimulatedDevice => {
  const { ground, name, user, door, calls, witness, incoming = (text) => [text] } = options;
  const { schedule, random } = ground;
  let tab = storage();
  let kept = storage();
  const clock = (machine: Machine) => ({
    now: () => schedule.now() + options.skewMs,
    after: (ms: number, run: () => void) =>
      schedule.after(ms, () => {
        if (machine.alive) run();
      }),
  });
  let generation = 0;
  /** How often it began with nothing. */
  let begun = 0;
  let ids = 0;
  let line: Line | undefined;
  let machine = startMachine(name, options.skewMs);
  let session: Session;
  const names = [name];
  const idNow = () => names.at(-1) as string;
  const newId = () => {
    ids += 1;
    return `${name}-${ids}`;
  };

  const sync = () => calls.client(machine, syncV1.SyncServiceService);
  const asMyself = () =>
    rootContext({ actor: { userId: user, scopes: ['session'], deviceId: idNow() }, timeoutMs: 5_000 });

  /** Follows what the person may read by now, and looks again after a while, as long as this line lasts. */
  const follow = async (mine: Line): Promise<void> => {
    const listed = await sync()
      .listSpaces({ limit: 100, cursor: '' }, asMyself())
      .catch(() => undefined);
    if (mine !== line) return;
    for (const { id } of listed?.items ?? [])
      if (!session.state.spaces[id])
        mine.send(JSON.stringify({ type: 'subscribe', id: `f-${newId()}`, space: id }));
    schedule.after(listEveryMs, () => (mine === line ? void follow(mine) : undefined));
  };

  /** What the page has no part in. */
  const overhear = (frame: Frame): void => {
    if (frame.type === 'welcome' && line) void follow(line);
    if (frame.type === 'result' && frame.messageId !== undefined)
      witness.accepted(idNow(), session.state.home ?? '', frame.messageId, frame.offset ?? 0);
  };

  const outgoing = (text: string): string => {
    if ((JSON.parse(text) as Frame).type === 'sync_request')
      witness.wrong(`the state of ${idNow()} was not what its position says`);
    return text;
  };

  const openSocket = (events: SocketEvents) => {
    const mine = generation;
    const heard: LineEvents = {
      opened: () => {
        if (mine === generation) events.opened();
      },
      message: (text) => {
        if (mine !== generation) return;
        for (const one of incoming(text)) {
          if (mine !== generation) return;
          overhear(JSON.parse(one) as Frame);
          events.message(one);
        }
      },
      closed: (code, reason) => {
        if (mine === generation) events.closed(code, reason);
      },
    };
    const opened = openLine(ground, door(), heard);
    line = opened;
    return { send: (text: string) => opened.send(outgoing(text)), close: () => opened.close() };
  };

  const begin = () => {
    generation += 1;
    const mine = generation;
    line?.cut();
    line = undefined;
    machine.kill();
    machine = startMachine(name, options.skewMs);
    const positions = new Map<string, string>();
    session = createSession({
      clock: clock(machine),
      random,
      newId,
      openSocket,
      user,
      access: async () => ({ token: user, expiresAtMs: Number.MAX_SAFE_INTEGER }),
      rest: {
        turn: async (turnId) => options.turn(turnId),
        messages: () => Promise.reject(new Error('nobody reads here')),
        createConversation: async (space, title, key) => {
          const origin = { device: { id: idNow(), platform: 'simulated', name: '' } };
          const { conversation } = await sync()
            .createConversation({ space, title, idempotencyKey: key, origin }, asMyself())
            .catch((error: unknown) => {
              const { code, detail, row } = toAppError(error);
              throw new CommandError(code, detail, row.retryable);
            });
          return conversation?.id ?? '';
        },
      },
      device: { id: idNow(), platform: 'simulated' },
      rename: () => {
        names.push(`${name}.${names.length + 1}`);
        return { device: { id: idNow(), platform: 'simulated' }, key: name };
      },
      ...{ tab, kept, key: name },
      sha256: async (bytes) => Uint8Array.from(createHash('sha256').update(bytes).digest()).buffer,
      onChange: (state) => {
        if (mine !== generation) return;
        for (const wrong of shownSoFar(idNow(), state)) witness.wrong(wrong);
        for (const [space, one] of Object.entries(state.spaces)) {
          const { position } = one;
          if (!position || one.awaiting) continue;
          const key = `${position.epoch} ${position.offset}`;
          if (positions.get(space) === key) continue;
          positions.set(space, key);
          witness.at(idNow(), user, space, one);
        }
      },
      onLink: (link) => {
        if (mine === generation && link.phase === 'stopped') {
          // Replaced by another socket of its own: the older one was still open at the other end.
          if (link.why === 'replaced') schedule.after(500, () => mine === generation && session.start());
          else witness.wrong(`${idNow()} stopped for good: ${link.why}`);
        }
      },
      onDraft: () => {},
      onSettled: (space, mutation, result) => witness.settled(idNow(), space, mutation, result),
      onUnkept: () => witness.wrong(`${idNow()}: the disk refused what waits`),
      onRefused: (code) => witness.wrong(`${idNow()}: a mutation was refused as ${code}`),
    });
    session.start();
  };
  begin();

  return {
    get id() {
      return idNow();
    },
    user,
    get state() {
      return session.state;
    },
    get waiting() {
      const unsaid = session.state.outbox.filter(({ state }) => state !== 'failed').length;
      return waitingIn(session.state.queues).length + unsaid;
    },
    ids: names,
    mutate: (space, change) => void session.change(change, space),
    say: (text) => void session.say(text, { draft: `draft-${name}-${begun}` }),
    online: (is) => {
      if (!is) line?.cut();
      session.online(is);
    },
    cut: () => line?.cut(),
    restart: (how) => {
      if (how === 'forgetting') {
        tab = storage();
        kept = storage();
        begun += 1;
      }
      begin();
    },
  };
};
