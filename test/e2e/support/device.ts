import type { Frame } from '../../load/receiver.ts';
import { ErrorFrame, resumingSocket } from '../../load/resuming-socket.ts';

export type { Frame } from '../../load/receiver.ts';

/** An event with its place in the log. */
export interface Placed {
  readonly offset: number;
  readonly event: { readonly id: string; readonly type: string; readonly data: Record<string, unknown> };
}

/**
 * A device written from the protocol's description alone: keeps itself connected, keeps what it saw, and puts the
 * token frames of running answers together.
 */
export interface Device {
  /** Events of the personal space in the order they came. */
  readonly events: readonly Placed[];
  /** Text of every answer as built from token frames, by message id; replaced by the final text at its end. */
  readonly texts: ReadonlyMap<string, string>;
  /** Every frame received, for looking at. */
  readonly frames: readonly Frame[];
  readonly connections: number;
  /** How far it is in the personal space. */
  readonly position: { readonly epoch: string; readonly offset: number } | undefined;
  /** The state hash of the last whole snapshot, if it was given one. */
  readonly snapshot:
    | { readonly epoch: string; readonly offset: number; readonly stateHash: string }
    | undefined;
  /** Sends a request and resolves with its result; rejects with its error frame. Needs a live connection. */
  request(frame: Frame): Promise<Frame>;
  /** Sends a message; when the connection breaks before the answer it is sent again with the same id. */
  say(text: string): Promise<{ messageId: string; turnId?: string }>;
  /** The first frame, seen or to come, that satisfies the predicate. */
  until(what: string, predicate: (frame: Frame) => boolean): Promise<Frame>;
  close(): void;
}

const giveUpMs = 45_000;
const againMs = 200;

/** Opens a device that keeps itself connected until it is closed. */
export const openDevice = async (
  url: string,
  id: string,
  token: () => Promise<string> | string,
): Promise<Device> => {
  const events: Placed[] = [];
  const texts = new Map<string, string>();
  const frames: Frame[] = [];
  const watchers = new Set<(frame: Frame) => void>();
  let snapshot: Device['snapshot'];

  const keep = (frame: Frame) => {
    frames.push(frame);
    if (frame.type === 'event' && frame['space'] === socket.space) {
      const placed = { offset: frame['offset'] as number, event: frame['event'] as Placed['event'] };
      events.push(placed);
      const { type, data } = placed.event;
      if (type === 'message.completed' || type === 'turn.cancelled' || type === 'turn.failed') {
        texts.set(data['messageId'] as string, data['text'] as string);
      }
    }
    // Of several parts the last one makes it whole; what this device keeps of it is its hash.
    if (frame.type === 'snapshot' && frame['space'] === socket.space && frame['part'] === frame['parts']) {
      const { epoch, offset, stateHash } = frame as unknown as NonNullable<Device['snapshot']>;
      snapshot = { epoch, offset, stateHash };
    }
    if (frame.type === 'token') {
      const messageId = frame['messageId'] as string;
      const have = [...(texts.get(messageId) ?? '')];
      const from = frame['from'] as number;
      if (have.length >= from) texts.set(messageId, have.slice(0, from).join('') + (frame['text'] as string));
    }
    for (const watcher of watchers) watcher(frame);
  };
  const socket = resumingSocket({ address: () => url, device: id, token, frame: keep });

  const until = (what: string, predicate: (frame: Frame) => boolean): Promise<Frame> => {
    const seen = frames.find(predicate);
    if (seen) return Promise.resolve(seen);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        watchers.delete(watcher);
        reject(
          new Error(`${id} waited in vain for ${what}; last frames: ${JSON.stringify(frames.slice(-5))}`),
        );
      }, giveUpMs);
      const watcher = (frame: Frame) => {
        if (!predicate(frame)) return;
        clearTimeout(timer);
        watchers.delete(watcher);
        resolve(frame);
      };
      watchers.add(watcher);
    });
  };

  const say = async (text: string): Promise<{ messageId: string; turnId?: string }> => {
    const clientMessageId = crypto.randomUUID();
    const deadline = Date.now() + giveUpMs;
    for (;;) {
      try {
        const frame = { type: 'message', space: socket.space, clientMessageId, text };
        return (await socket.request(frame)) as unknown as { messageId: string };
      } catch (error) {
        const refused = error instanceof ErrorFrame && error.frame['retryable'] !== true;
        if (refused || Date.now() > deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, againMs));
      }
    }
  };

  await until('welcome', (frame) => frame.type === 'welcome');
  return {
    events,
    texts,
    frames,
    get connections() {
      return socket.connections;
    },
    get position() {
      return socket.position;
    },
    get snapshot() {
      return snapshot;
    },
    request: (frame) => socket.request(frame),
    say,
    until,
    close: socket.close,
  };
};
