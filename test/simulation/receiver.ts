import { createHash } from 'node:crypto';
import { syncV1 } from '@skein/contracts';
import { rootContext } from '@skein/rpc';
import {
  applyFrame,
  decodeFrame,
  type Effect,
  emptyState,
  type SessionState,
  stateHash,
} from '@skein/sync-client';
import type { Calls } from './calls.ts';
import type { DeviceWitness } from './device.ts';
import type { Ground } from './disk.ts';
import type { Door } from './lines.ts';
import { startMachine } from './machine.ts';
import { openRequest } from './requests.ts';

/** A device that only reads: by `/v1/stream` or by `/v1/poll`. */
export interface Receiver {
  readonly id: string;
  readonly user: string;
  readonly state: SessionState;
  online(is: boolean): void;
  /** The line breaks. */
  cut(): void;
}

/** What a receiver is made of. */
export interface ReceiverOptions {
  readonly ground: Ground;
  readonly name: string;
  readonly user: string;
  readonly by: 'stream' | 'poll';
  readonly door: () => Door | undefined;
  readonly calls: Calls;
  readonly witness: Pick<DeviceWitness, 'at' | 'wrong'>;
}

/** Between two requests after one that failed. */
const retryMs = { min: 100, max: 2_000 };
const pollMs = 3_000;
/** So often it looks which spaces there are: news of a membership may be lost. */
const listEveryMs = 15_000;

/** Takes server-sent events apart: the frame and, where the frame moves a position, the cursor behind it. */
const eventReader = (take: (frame: string, cursor: string | undefined) => void) => {
  let rest = '';
  return (piece: string): void => {
    const events = `${rest}${piece}`.split('\n\n');
    rest = events.pop() ?? '';
    for (const event of events) {
      const of = (name: string) =>
        event
          .split('\n')
          .flatMap((line) => (line.startsWith(`${name}: `) ? [line.slice(name.length + 2)] : []));
      const data = of('data');
      if (data.length > 0) take(data.join('\n'), of('id')[0]);
    }
  };
};

/** Makes a receiver and connects it. */
export const startReceiver = (options: ReceiverOptions): Receiver => {
  const { ground, name, user, by, door, calls, witness } = options;
  const { schedule, random } = ground;
  const sync = calls.client(startMachine(name, 0), syncV1.SyncServiceService);
  let state: SessionState = emptyState;
  let cursor: string | undefined;
  let online = true;
  /** The request it is at; what an older one still brings is nothing any more. */
  let request = 0;
  let cut = () => {};
  let listedMs = Number.NEGATIVE_INFINITY;
  const positions = new Map<string, string>();

  const check = async (space: string, theirs: string): Promise<void> => {
    const before = state.spaces[space]?.documents;
    const ours = await stateHash(
      Object.values(before ?? {}),
      async (bytes) => Uint8Array.from(createHash('sha256').update(bytes).digest()).buffer,
    );
    if (ours !== theirs && state.spaces[space]?.documents === before)
      witness.wrong(`the state of ${name} was not what its position says`);
  };

  const run = (effect: Effect): void => {
    if (effect.kind === 'check') void check(effect.space, effect.stateHash);
    // It cannot ask on the line it has: the next request says where it stands.
    else if (effect.kind === 'subscribe') {
      cursor = undefined;
      next(0);
    }
  };

  const take = (text: string): void => {
    const frame = decodeFrame(text);
    if (!frame) return;
    const applied = applyFrame(state, frame, schedule.now());
    state = applied.state;
    for (const [space, one] of Object.entries(state.spaces)) {
      const key = `${one.position?.epoch} ${one.position?.offset}`;
      if (!one.position || one.awaiting || positions.get(space) === key) continue;
      positions.set(space, key);
      witness.at(name, user, space, one);
    }
    for (const effect of applied.effects) run(effect);
  };

  /** Which spaces there are that it does not follow; looked up now and then. */
  const missing = async (): Promise<readonly string[]> => {
    if (schedule.now() - listedMs < listEveryMs) return [];
    const actor = { userId: user, scopes: ['session'] };
    const { items } = await sync.listSpaces(
      { limit: 100, cursor: '' },
      rootContext({ actor, timeoutMs: 5_000 }),
    );
    listedMs = schedule.now();
    // The own one first: a page takes the first for its home.
    const all = [...items]
      .sort((a, b) => (a.kind < b.kind ? -1 : a.kind > b.kind ? 1 : 0))
      .map(({ id }) => id);
    return all.filter((id) => !state.spaces[id]);
  };

  const ask = async (mine: number): Promise<void> => {
    const more = await missing().catch(() => undefined);
    if (mine !== request) return;
    if (!more) return next();
    if (more.length > 0) cursor = undefined;
    const known = Object.entries(state.spaces).map(([space, { position }]) => ({ space, ...position }));
    const streams = [...known, ...more.map((space) => ({ space }))];
    if (streams.length === 0) return next();
    const from =
      cursor === undefined
        ? `streams=${Buffer.from(JSON.stringify(streams)).toString('base64url')}`
        : `cursor=${cursor}`;
    const query = `device=${name}&platform=simulated&${from}${by === 'poll' ? `&waitMs=${pollMs}` : ''}`;
    const at = door();
    const isCurrent = () => mine === request;
    const read = eventReader((frame, behind) => {
      if (!isCurrent()) return;
      take(frame);
      if (isCurrent()) cursor = behind ?? cursor;
    });
    let whole = '';
    cut = openRequest(
      ground,
      at && { machine: at.machine, handle: at[by] },
      { path: `/v1/${by}?${query}`, token: user },
      {
        text: (piece) => {
          if (by === 'stream') read(piece);
          else whole += piece;
        },
        ended: (ok) => {
          if (!isCurrent()) return;
          if (!ok || by === 'stream') return next();
          const answer = JSON.parse(whole) as {
            readonly cursor: string;
            readonly frames: readonly unknown[];
          };
          cursor = answer.cursor;
          for (const frame of answer.frames) if (isCurrent()) take(JSON.stringify(frame));
          if (isCurrent()) next(0);
        },
      },
    );
    // An endless answer is asked for anew now and then, or a membership whose news was lost would never be seen.
    if (by === 'stream')
      schedule.after(listEveryMs, () => {
        if (!isCurrent()) return;
        cut();
        next(0);
      });
  };

  const next = (delayMs = random.between(retryMs.min, retryMs.max)): void => {
    request += 1;
    const mine = request;
    if (online)
      schedule.after(delayMs, () => {
        if (mine === request) void ask(mine);
      });
  };
  next(0);

  return {
    id: name,
    user,
    get state() {
      return state;
    },
    online: (is) => {
      if (is === online) return;
      online = is;
      cut();
      next();
    },
    cut: () => cut(),
  };
};
