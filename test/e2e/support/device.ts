import WebSocket from 'ws';

/** A frame of the public protocol. */
export type Frame = Record<string, unknown> & { readonly type: string };

/** An event with its place in the log. */
export interface Placed {
  readonly offset: number;
  readonly event: { readonly id: string; readonly type: string; readonly data: Record<string, unknown> };
}

/**
 * A device written from the protocol's description alone: connects, resumes from its position after every break,
 * keeps what it saw, and puts the token frames of running answers together.
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
  request(frame: Omit<Frame, 'id'> & { type: string }): Promise<Frame>;
  /** Sends a message; when the connection breaks before the answer it is sent again with the same id. */
  say(text: string): Promise<{ messageId: string; turnId?: string }>;
  /** The first frame, seen or to come, that satisfies the predicate. */
  until(what: string, predicate: (frame: Frame) => boolean): Promise<Frame>;
  close(): void;
}

const giveUpMs = 45_000;
const reconnectMs = 200;

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
  const waiting = new Map<string, { resolve: (frame: Frame) => void; reject: (error: unknown) => void }>();
  let space = '';
  let position: { epoch: string; offset: number; lastId?: string } | undefined;
  let snapshot: Device['snapshot'];
  let socket: WebSocket | undefined;
  let live = false;
  let closed = false;
  let connections = 0;
  let nextId = 1;

  const apply = (frame: Frame) => {
    if (frame.type === 'welcome') {
      const [stream] = frame['streams'] as { space: string; epoch: string; offset: number }[];
      if (!stream) throw new Error('welcome without streams');
      space = stream.space;
      // Without a position the device follows live from the head.
      position ??= { epoch: stream.epoch, offset: stream.offset };
      live = true;
    }
    if (frame.type === 'event' && frame['space'] === space) {
      const placed = { offset: frame['offset'] as number, event: frame['event'] as Placed['event'] };
      events.push(placed);
      position = { epoch: frame['epoch'] as string, offset: placed.offset, lastId: placed.event.id };
      const { type, data } = placed.event;
      if (type === 'message.completed' || type === 'turn.cancelled' || type === 'turn.failed') {
        texts.set(data['messageId'] as string, data['text'] as string);
      }
    }
    // Of several parts the last one makes it whole; what this device keeps of it is where it is and its hash.
    if (frame.type === 'snapshot' && frame['space'] === space && frame['part'] === frame['parts']) {
      position = { epoch: frame['epoch'] as string, offset: frame['offset'] as number };
      snapshot = { ...position, stateHash: frame['stateHash'] as string };
    }
    if (frame.type === 'token') {
      const messageId = frame['messageId'] as string;
      const have = [...(texts.get(messageId) ?? '')];
      const from = frame['from'] as number;
      if (have.length >= from) texts.set(messageId, have.slice(0, from).join('') + (frame['text'] as string));
    }
    if (frame.type === 'result' || frame.type === 'error') {
      const one = waiting.get(String(frame['id']));
      waiting.delete(String(frame['id']));
      if (frame.type === 'result') one?.resolve(frame);
      else
        one?.reject(
          Object.assign(new Error(`${String(frame['code'])}: ${String(frame['message'])}`), { frame }),
        );
    }
  };

  const connect = async (): Promise<void> => {
    const accessToken = await token();
    const opening = new WebSocket(`${url.replace('http', 'ws')}/v1/connect`);
    socket = opening;
    opening.on('open', () => {
      connections += 1;
      opening.send(
        JSON.stringify({
          type: 'hello',
          v: 1,
          token: accessToken,
          device: { id, platform: 'cli' },
          ...(position ? { streams: [{ space, ...position }] } : {}),
        }),
      );
    });
    opening.on('message', (data) => {
      const frame = JSON.parse(String(data)) as Frame;
      frames.push(frame);
      apply(frame);
      for (const watcher of watchers) watcher(frame);
    });
    // The close that follows says what matters.
    opening.on('error', () => {});
    opening.on('close', () => {
      live = false;
      for (const [, one] of waiting) one.reject(new Error('the connection broke'));
      waiting.clear();
      if (!closed) setTimeout(() => void connect().catch(() => {}), reconnectMs);
    });
  };

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

  const request = (frame: Omit<Frame, 'id'> & { type: string }): Promise<Frame> =>
    new Promise((resolve, reject) => {
      if (!live || !socket) return reject(new Error('the connection broke'));
      const requestId = String(nextId++);
      waiting.set(requestId, { resolve, reject });
      socket.send(JSON.stringify({ ...frame, id: requestId }));
    });

  const say = async (text: string): Promise<{ messageId: string; turnId?: string }> => {
    const clientMessageId = crypto.randomUUID();
    const deadline = Date.now() + giveUpMs;
    for (;;) {
      try {
        return (await request({ type: 'message', space, clientMessageId, text })) as unknown as {
          messageId: string;
        };
      } catch (error) {
        const frame = (error as { frame?: Frame }).frame;
        if ((frame && frame['retryable'] !== true) || Date.now() > deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, reconnectMs));
      }
    }
  };

  void connect();
  await until('welcome', (frame) => frame.type === 'welcome');
  return {
    events,
    texts,
    frames,
    get connections() {
      return connections;
    },
    get position() {
      return position;
    },
    get snapshot() {
      return snapshot;
    },
    request,
    say,
    until,
    close: () => {
      closed = true;
      socket?.close();
    },
  };
};
