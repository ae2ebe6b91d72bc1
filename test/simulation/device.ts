import { createHash } from 'node:crypto';
import { syncV1, toAppError } from '@skein/contracts';
import { rootContext } from '@skein/rpc';
import {
  answered,
  emptyQueue,
  encodeHlc,
  enqueue,
  expectedFrom,
  isForeign,
  type Mutation,
  type MutationQueue,
  type MutationResult,
  renumberedFrom,
  tickHlc,
} from '@skein/sync-core';
import type { SessionState, SpaceState } from '../../packages/console/src/sync/model.ts';
import type { KeyValue, SocketEvents } from '../../packages/console/src/sync/ports.ts';
import { CommandError } from '../../packages/console/src/sync/requests.ts';
import { createSession, type Session } from '../../packages/console/src/sync/session.ts';
import type { Calls } from './calls.ts';
import type { Ground } from './disk.ts';
import type { Door } from './lines.ts';
import { type Line, type LineEvents, openLine } from './lines.ts';
import { type Machine, startMachine } from './machine.ts';

/** What a device tells the history. */
export interface DeviceWitness {
  /** A position was reached, with these documents. */
  at(device: string, space: string, state: SpaceState): void;
  /** The server said what became of a mutation. */
  settled(device: string, space: string, mutation: Mutation, result: MutationResult): void;
  /** The server has taken a message. */
  accepted(device: string, space: string, messageId: string, offset: number): void;
  /** Something that must not happen. */
  wrong(text: string): void;
}

/** A device of somebody: the page's session as it is, and a queue of mutations on the same line. */
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
  /** Team spaces it follows beside the personal one. */
  readonly spaces: readonly string[];
  readonly door: () => Door | undefined;
  readonly calls: Calls;
  readonly witness: DeviceWitness;
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

/** Mutations sent in one frame. */
const batch = 20;
const answerMs = 6_000;
const retryMs = { min: 200, max: 1_500 };

interface Frame {
  readonly type: string;
  readonly id?: string;
  readonly space?: string;
  readonly results?: readonly MutationResult[];
  readonly code?: string;
  readonly retryable?: boolean;
  readonly expectedSeq?: number;
  readonly lastSeq?: number;
  readonly messageId?: string;
  readonly offset?: number;
  readonly streams?: readonly { readonly space: string; readonly lastSeq?: number }[];
}

/** A frame with an id of our own that waits for its answer. */
interface Sending {
  readonly id: string;
  readonly cancel: () => void;
}

/** Makes a device and connects it. */
export const startDevice = (options: DeviceOptions): SimulatedDevice => {
  const { ground, name, user, spaces, door, calls, witness, incoming = (text) => [text] } = options;
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
  let welcomed = false;
  let machine = startMachine(name, options.skewMs);
  let session: Session;
  let stamp = tickHlc(undefined, schedule.now() + options.skewMs, name);
  const names = [name];
  const queues = new Map<string, MutationQueue>();
  const sending = new Map<string, Sending>();

  const idNow = () => names.at(-1) as string;
  const queueOf = (space: string) => queues.get(space) ?? emptyQueue;
  const newId = () => {
    ids += 1;
    return `${name}-${ids}`;
  };

  const forgetSending = () => {
    for (const { cancel } of sending.values()) cancel();
    sending.clear();
  };

  /** Sends what waits for one space, one frame at a time. */
  const flush = (space: string): void => {
    const { waiting } = queueOf(space);
    if (!line || !welcomed || waiting.length === 0 || sending.has(space)) return;
    const id = `m-${newId()}`;
    const cancel = schedule.after(answerMs, () => {
      sending.delete(space);
      flush(space);
    });
    sending.set(space, { id, cancel });
    line.send(JSON.stringify({ type: 'mutate', id, space, mutations: waiting.slice(0, batch) }));
  };

  const later = (space: string) => {
    const mine = generation;
    schedule.after(random.between(retryMs.min, retryMs.max), () => {
      if (mine === generation) flush(space);
    });
  };

  /** Somebody else wrote under this id: go on under another. */
  const reborn = () => {
    names.push(`${name}.${names.length + 1}`);
    for (const [space, queue] of queues) queues.set(space, renumberedFrom(queue, 1));
    begin();
  };

  const take = (space: string, frame: Frame): void => {
    if (frame.type === 'result') {
      const { queue, settled } = answered(queueOf(space), frame.results ?? []);
      queues.set(space, queue);
      for (const { mutation, result } of settled) witness.settled(idNow(), space, mutation, result);
      const seq = (queue.waiting[0]?.seq ?? queue.lastSeq + 1) - 1;
      const offset = session.state.spaces[space]?.position?.offset ?? 0;
      line?.send(JSON.stringify({ type: 'ack', space, offset, seq }));
      flush(space);
    } else if (frame.code === 'expected_seq') {
      queues.set(space, expectedFrom(queueOf(space), frame.expectedSeq ?? 0));
      flush(space);
    } else if (frame.code === 'seq_reused') reborn();
    else {
      if (frame.retryable !== true) witness.wrong(`a mutation of ${idNow()} was refused as ${frame.code}`);
      later(space);
    }
  };

  /** What the queue has to know of a frame. */
  const overhear = (frame: Frame): void => {
    if (frame.type === 'welcome') {
      welcomed = true;
      const streams = frame.streams ?? [];
      if (streams.some(({ space, lastSeq = 0 }) => isForeign(queueOf(space), lastSeq))) reborn();
      else for (const { space } of streams) flush(space);
    }
    if (frame.type === 'result' && frame.messageId !== undefined)
      witness.accepted(idNow(), session.state.home ?? '', frame.messageId, frame.offset ?? 0);
    if (frame.type === 'subscribed' && isForeign(queueOf(frame.space ?? ''), frame.lastSeq ?? 0)) reborn();
    if (frame.id === undefined) return;
    for (const [space, { id, cancel }] of sending) {
      if (id !== frame.id) continue;
      cancel();
      sending.delete(space);
      take(space, frame);
    }
  };

  /** The page follows what it knows; the team spaces of the person are told to it here. */
  const outgoing = (text: string): string => {
    const frame = JSON.parse(text) as Frame & { streams?: { space: string }[] };
    if (frame.type === 'sync_request')
      witness.wrong(`the state of ${idNow()} was not what its position says`);
    if (frame.type !== 'hello') return text;
    const known = new Set(frame.streams?.map(({ space }) => space));
    return JSON.stringify({
      ...frame,
      streams: [
        ...(frame.streams ?? []),
        ...spaces.filter((one) => !known.has(one)).map((space) => ({ space })),
      ],
    });
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
          if (mine === generation) events.message(one);
        }
      },
      closed: (code, reason) => {
        if (mine !== generation) return;
        welcomed = false;
        forgetSending();
        events.closed(code, reason);
      },
    };
    const opened = openLine(ground, door(), heard);
    line = opened;
    welcomed = false;
    forgetSending();
    return { send: (text: string) => opened.send(outgoing(text)), close: () => opened.close() };
  };

  const begin = () => {
    generation += 1;
    const mine = generation;
    line?.cut();
    line = undefined;
    welcomed = false;
    forgetSending();
    machine.kill();
    machine = startMachine(name, options.skewMs);
    const positions = new Map<string, string>();
    session = createSession({
      clock: clock(machine),
      random,
      newId,
      openSocket,
      access: async () => ({ token: user, expiresAtMs: Number.MAX_SAFE_INTEGER }),
      rest: {
        turn: () => Promise.reject(new Error('nobody answers here')),
        messages: () => Promise.reject(new Error('nobody reads here')),
        createConversation: async (space, title, key) => {
          const origin = { device: { id: idNow(), platform: 'simulated', name: '' } };
          const actor = { userId: user, scopes: ['session'], deviceId: idNow() };
          const { conversation } = await calls
            .client(machine, syncV1.SyncServiceService)
            .createConversation(
              { space, title, idempotencyKey: key, origin },
              rootContext({ actor, timeoutMs: 5_000 }),
            )
            .catch((error: unknown) => {
              const { code, detail, row } = toAppError(error);
              throw new CommandError(code, detail, row.retryable);
            });
          return conversation?.id ?? '';
        },
      },
      device: { id: idNow(), platform: 'simulated' },
      ...{ tab, kept, key: name },
      sha256: async (bytes) => Uint8Array.from(createHash('sha256').update(bytes).digest()).buffer,
      onChange: (state) => {
        if (mine !== generation) return;
        for (const [space, one] of Object.entries(state.spaces)) {
          const { position } = one;
          if (!position || one.awaiting) continue;
          const key = `${position.epoch} ${position.offset}`;
          if (positions.get(space) === key) continue;
          positions.set(space, key);
          witness.at(idNow(), space, one);
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
      return [...queues.values()].reduce((sum, { waiting }) => sum + waiting.length, unsaid);
    },
    ids: names,
    mutate: (space, { collection, id, ops }) => {
      stamp = tickHlc(stamp, schedule.now() + options.skewMs, name);
      const known = session.state.spaces[space]?.documents[`${collection}\0${id}`];
      const mutation = { collection, id, ops, baseVersion: known?.version ?? 0, hlc: encodeHlc(stamp) };
      queues.set(space, enqueue(queueOf(space), mutation));
      flush(space);
    },
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
        queues.clear();
        begun += 1;
      }
      begin();
    },
  };
};
