import { applyFrame } from './apply-frame.ts';
import type { ServerFrame, SyncEvent } from './frames.ts';
import type { KeptStore } from './kept.ts';
import { type Applied, type Conversation, emptyState, type SessionState } from './model.ts';
import type { Clock, OpenSocket, SocketEvents } from './ports.ts';

/** A clock that stands until it is told to move. */
export class FakeClock implements Clock {
  private timeMs = 1_000_000;
  private readonly due = new Map<number, { atMs: number; run: () => void }>();
  private nextId = 0;

  now(): number {
    return this.timeMs;
  }

  after(ms: number, run: () => void): () => void {
    const id = this.nextId++;
    this.due.set(id, { atMs: this.timeMs + ms, run });
    return () => void this.due.delete(id);
  }

  /** Moves on, running what falls due in order, and lets promises settle in between. */
  async advance(ms: number): Promise<void> {
    const endMs = this.timeMs + ms;
    await settle();
    for (;;) {
      const [id, next] =
        [...this.due].filter(([, d]) => d.atMs <= endMs).sort((a, b) => a[1].atMs - b[1].atMs)[0] ?? [];
      if (id === undefined || next === undefined) break;
      this.due.delete(id);
      this.timeMs = next.atMs;
      next.run();
      await settle();
    }
    this.timeMs = endMs;
  }

  /** How many timers are set: what a stopped thing leaves behind. */
  get pending(): number {
    return this.due.size;
  }
}

/** Lets every promise that can settle do so. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The server's end of one socket. */
export class FakeSocket {
  readonly sent: Record<string, unknown>[] = [];
  closedByClient = false;
  readonly events: SocketEvents;

  constructor(events: SocketEvents) {
    this.events = events;
  }

  /** Sends a frame to the client. */
  push(frame: Record<string, unknown>): void {
    this.events.message(JSON.stringify(frame));
  }

  /** The frames of one type the client has sent. */
  of(type: string): Record<string, unknown>[] {
    return this.sent.filter((frame) => frame['type'] === type);
  }

  /** Answers the newest frame of a type. */
  answer(type: string, fields: Record<string, unknown> = {}): void {
    this.push({ type: 'result', id: this.of(type).at(-1)?.['id'], ...fields });
  }

  /** Refuses the newest frame of a type. */
  refuse(type: string, fields: Record<string, unknown>): void {
    this.push({ type: 'error', id: this.of(type).at(-1)?.['id'], message: '', ...fields });
  }
}

/** Opens fake sockets and remembers them, oldest first. */
export function fakeSockets(): { open: OpenSocket; all: FakeSocket[]; last(): FakeSocket } {
  const all: FakeSocket[] = [];
  return {
    all,
    open: (events) => {
      const socket = new FakeSocket(events);
      all.push(socket);
      return {
        send: (text) => void socket.sent.push(JSON.parse(text) as Record<string, unknown>),
        close: () => {
          socket.closedByClient = true;
        },
      };
    },
    last: () => {
      const socket = all.at(-1);
      if (socket === undefined) throw new Error('no socket was opened');
      return socket;
    },
  };
}

/** Storage that forgets with the test; `full` makes writing fail. */
export function memoryStorage(): KeptStore & { readonly values: Map<string, string>; full: boolean } {
  const values = new Map<string, string>();
  return {
    values,
    full: false,
    get length() {
      return values.size;
    },
    key: (at) => [...values.keys()][at] ?? null,
    getItem: (key) => values.get(key) ?? null,
    setItem(key, value) {
      if (this.full) throw new Error('QuotaExceededError');
      values.set(key, value);
    },
    removeItem: (key) => void values.delete(key),
  };
}

/** Ids in order: `id-1`, `id-2`, … */
export function countingIds(): () => string {
  let count = 0;
  return () => `id-${++count}`;
}

export const space = 'sp';
export const epoch = 'e1';

/** The frame of one logged event. */
export function eventFrame(
  offset: number,
  type: string,
  data: Record<string, unknown>,
  inEpoch = epoch,
): ServerFrame {
  const event: SyncEvent = {
    id: `ev-${offset}`,
    type,
    timeMs: 1_000 * offset,
    actor: { kind: 'user', platform: 'cli' },
    data,
  };
  return { type: 'event', space, epoch: inEpoch, offset, event };
}

/** A token of turn `t1`, message `a1`, conversation `c1`. */
export function tokenFrame(from: number, text: string): ServerFrame {
  return { type: 'token', space, conversationId: 'c1', turnId: 't1', messageId: 'a1', from, text };
}

/** A whole snapshot in one part. */
export function snapshotFrame(
  offset: number,
  over: Partial<Extract<ServerFrame, { type: 'snapshot' }>> = {},
): ServerFrame {
  return {
    type: 'snapshot',
    space,
    epoch,
    offset,
    part: 1,
    parts: 1,
    documents: [],
    conversations: [],
    ...over,
  };
}

/** A welcome to the space. */
export function welcomeFrame(recovered: boolean, connection = 'k1'): ServerFrame {
  return {
    type: 'welcome',
    connection,
    user: 'u1',
    device: 'd1',
    streams: [{ space, epoch, offset: 0, recovered }],
    authExpiresAtMs: 0,
    pingMs: 25_000,
    serverTimeMs: 0,
  };
}

/** Applies frames in order to a state; the effects are those of the last one. */
export function apply(frames: readonly ServerFrame[], start: SessionState = emptyState): Applied {
  return frames.reduce<Applied>((applied, frame) => applyFrame(applied.state, frame, 5_000), {
    state: start,
    effects: [],
  });
}

/** The state after a first welcome and an empty snapshot at offset 0. */
export function fresh(): SessionState {
  return apply([welcomeFrame(false), snapshotFrame(0)]).state;
}

/** Conversation `c1` of the space; throws when there is none. */
export function conversation(state: SessionState, id = 'c1'): Conversation {
  const found = state.spaces[space]?.conversations[id];
  if (found === undefined) throw new Error(`no conversation ${id}`);
  return found;
}
