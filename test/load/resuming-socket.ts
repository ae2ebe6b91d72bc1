import WebSocket from 'ws';
import type { Outage } from './history.ts';
import {
  Arrivals,
  connectTimeoutMs,
  type Frame,
  finalCodes,
  NoAnswer,
  pauseBefore,
  type Receiver,
  type ReceiverOptions,
} from './receiver.ts';

/** Where a device is in its space. */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
  readonly lastId?: string;
}

/** A request was answered with an error frame. */
export class ErrorFrame extends Error {
  override readonly name = 'ErrorFrame';
  readonly frame: Frame;
  constructor(frame: Frame) {
    super(`${String(frame['code'])}: ${String(frame['message'])}`);
    this.frame = frame;
  }
}

/** A receiver that can also ask for things. */
export interface ResumingSocket extends Receiver {
  readonly position: Position | undefined;
  /** When the session has to be renewed by `auth`. */
  readonly authExpiresAt: number;
  /** How often it was connected. */
  readonly connections: number;
  /**
   * Sends a request once few enough are under way: its `result`, an ErrorFrame, or NoAnswer when there was none by the
   * time that the server has named.
   */
  request(frame: Frame): Promise<Frame>;
}

/** An answer may be this late: what `welcome` promises is counted from the arrival at the server. */
const graceMs = 5_000;
/** A server does what one socket asks for one after the other: more at once would only wait there. */
const mostUnanswered = 8;
/** What may wait here for one of those to be answered. */
const maxWaiting = 1_000;

export const windowOf = (reason: string): [number, number] | undefined => {
  try {
    return (JSON.parse(reason) as { retryAfterMs: [number, number] }).retryAfterMs;
  } catch {
    return undefined;
  }
};

interface Waiting {
  readonly resolve: (frame: Frame) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * Opens a device's connection as the protocol describes it: `hello` with the position, which moves only by events and
 * finished snapshots; after a close, back within the window that the server names, or by full jitter; never after a
 * final code; given up when the server has been silent for two pings and five seconds.
 */
export const resumingSocket = (options: ReceiverOptions): ResumingSocket => {
  const waiting = new Map<string, Waiting>();
  const queue: (() => void)[] = [];
  const arrivals = new Arrivals();
  const outages: Outage[] = [];
  let socket: WebSocket | undefined;
  let space = '';
  let from = 0;
  let position: Position | undefined;
  let authExpiresAt = 0;
  let pingMs = 25_000;
  let answerMs = 10_000;
  let maxUnanswered = mostUnanswered;
  let live = false;
  let closed = false;
  let ended: number | undefined;
  let connections = 0;
  let nextId = 1;
  let timer: NodeJS.Timeout | undefined;
  let silence: NodeJS.Timeout | undefined;

  const outage = (): Outage | undefined => {
    const last = outages.at(-1);
    return last && last.backMs === undefined ? last : undefined;
  };

  const welcomed = (frame: Frame) => {
    const [stream] = frame['streams'] as { space: string; epoch: string; offset: number }[];
    if (!stream) throw new Error('welcome without streams');
    space = stream.space;
    if (!position) {
      from = stream.offset;
      // Without a position the device follows live from the head.
      position = { epoch: stream.epoch, offset: stream.offset };
    }
    authExpiresAt = frame['authExpiresAt'] as number;
    pingMs = frame['pingMs'] as number;
    answerMs = frame['answerMs'] as number;
    maxUnanswered = Math.min(mostUnanswered, frame['maxInflight'] as number);
    live = true;
    const over = outage();
    if (over) over.backMs = Date.now();
    arrivals.tell();
  };

  const settle = (id: string): Waiting | undefined => {
    const one = waiting.get(id);
    waiting.delete(id);
    clearTimeout(one?.timer);
    if (one) queue.shift()?.();
    return one;
  };

  /** Resolves when it is one's turn to ask; everybody's when the connection ends. */
  const turn = async (): Promise<void> => {
    if (waiting.size < maxUnanswered) return;
    if (queue.length >= maxWaiting) throw new NoAnswer('too many requests wait to be sent');
    await new Promise<void>((resolve) => queue.push(resolve));
  };

  const apply = (frame: Frame) => {
    const { type } = frame;
    if (type === 'welcome') welcomed(frame);
    else if (type === 'event' && frame['space'] === space) {
      const lastId = (frame['event'] as { readonly id: string }).id;
      position = { epoch: frame['epoch'] as string, offset: frame['offset'] as number, lastId };
    } else if (type === 'snapshot' && frame['space'] === space && frame['part'] === frame['parts']) {
      position = { epoch: frame['epoch'] as string, offset: frame['offset'] as number };
    } else if (type === 'result') {
      authExpiresAt = (frame['authExpiresAt'] as number | undefined) ?? authExpiresAt;
      settle(String(frame['id']))?.resolve(frame);
    } else if (type === 'error') settle(String(frame['id']))?.reject(new ErrorFrame(frame));
    options.frame(frame);
  };

  const retry = (reason: string) => {
    timer = setTimeout(() => void connect(), pauseBefore(windowOf(reason), outage()?.failures.length ?? 0));
  };

  /** A connection that was open is gone, or an attempt came to nothing. */
  const lost = (code: number, reason: string, why: string) => {
    clearTimeout(silence);
    socket = undefined;
    for (const id of [...waiting.keys()]) settle(id)?.reject(new NoAnswer(`closed with ${code}`));
    for (const next of queue.splice(0)) next();
    if (closed) return;
    if (finalCodes.has(code)) {
      ended = code;
      arrivals.tell();
    }
    const wasLive = live;
    live = false;
    if (wasLive) outages.push({ startedMs: Date.now(), code, failures: [] });
    else outage()?.failures.push(why);
    if (ended === undefined) retry(reason);
  };

  const connect = async (): Promise<void> => {
    let token: string;
    try {
      token = await options.token();
    } catch (error) {
      return lost(1006, '', String(error));
    }
    if (closed) return;
    const opening = new WebSocket(`${options.address().replace('http', 'ws')}/v1/connect`, {
      perMessageDeflate: false,
      handshakeTimeout: connectTimeoutMs,
    });
    socket = opening;
    let why = '';
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => opening.terminate(), 2 * pingMs + 5_000);
    };
    opening.on('open', () => {
      connections += 1;
      const streams = position ? { streams: [{ space, ...position }] } : {};
      const device = { id: options.device, platform: 'cli' };
      opening.send(JSON.stringify({ type: 'hello', v: 1, token, device, ...streams }));
      heard();
    });
    opening.on('ping', heard);
    opening.on('message', (data) => {
      heard();
      apply(JSON.parse(String(data)) as Frame);
    });
    // The close that follows says the rest.
    opening.on('error', (error) => {
      why = (error as NodeJS.ErrnoException).code ?? error.message;
    });
    opening.on('close', (code, reason) => {
      if (socket === opening) lost(code, String(reason), why || `closed with ${code}`);
    });
  };

  void connect();
  const self: ResumingSocket = {
    get live() {
      return live;
    },
    get space() {
      return space;
    },
    get from() {
      return from;
    },
    get position() {
      return position;
    },
    get authExpiresAt() {
      return authExpiresAt;
    },
    get connections() {
      return connections;
    },
    outages,
    get ended() {
      return ended;
    },
    untilLive: (timeoutMs) => arrivals.until(self, timeoutMs),
    request: async (frame) => {
      await turn();
      const timeoutMs = answerMs + graceMs;
      return new Promise((resolve, reject) => {
        if (!live || !socket) return reject(new NoAnswer('not connected'));
        const id = String(nextId);
        nextId += 1;
        const late = () => settle(id)?.reject(new NoAnswer(`no answer in ${timeoutMs} ms`));
        waiting.set(id, { resolve, reject, timer: setTimeout(late, timeoutMs) });
        socket.send(JSON.stringify({ ...frame, id }));
      });
    },
    close: () => {
      closed = true;
      clearTimeout(timer);
      clearTimeout(silence);
      socket?.close();
      for (const id of [...waiting.keys()]) settle(id)?.reject(new NoAnswer('closed'));
    },
  };
  return self;
};
