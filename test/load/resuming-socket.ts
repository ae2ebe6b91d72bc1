import WebSocket from 'ws';
import type { Outage } from './history.ts';

/** A frame of the public protocol. */
export type Frame = Record<string, unknown> & { readonly type: string };

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

/** A request has no answer, because the connection ended or the time did: whether it was done is not known. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
}

/** What a socket is made of. */
export interface ResumingSocketOptions {
  /** Where the next connection goes to; `http://host:port`. */
  readonly address: () => string;
  readonly device: string;
  readonly token: () => string | Promise<string>;
  /** Every frame, once the position is past it. */
  readonly frame: (frame: Frame) => void;
}

/** The connection of one device to its person's own space, made again whenever it breaks. */
export interface ResumingSocket {
  /** Whether a request can be sent now. */
  readonly live: boolean;
  /** The followed space; empty before the first `welcome`. */
  readonly space: string;
  /** The head at the first `welcome`: every event after it comes. */
  readonly from: number;
  readonly position: Position | undefined;
  /** When the session has to be renewed by `auth`. */
  readonly authExpiresAt: number;
  /** How often it was connected. */
  readonly connections: number;
  readonly outages: readonly Outage[];
  /** Why it does not come back: a close code that forbids it. */
  readonly ended: number | undefined;
  /** Resolves with the next `welcome`, at once while connected; rejects when the time or the socket ended. */
  untilLive(timeoutMs: number): Promise<void>;
  /** Sends a request: its `result`, an ErrorFrame, or NoAnswer within `timeoutMs`. */
  request(frame: Frame, timeoutMs?: number): Promise<Frame>;
  close(): void;
}

/** Codes of the protocol after which the same credentials are no use. */
const final = new Set([4000, 4001, 4003, 4010]);
/** Where the server names no time to wait: full jitter from the first value to the last. */
const backoffMs = { first: 200, most: 5_000 };
const connectTimeoutMs = 10_000;
/** The server answers within its own deadline of 10 s, or says that it cannot. */
const answerTimeoutMs = 15_000;
const maxUnanswered = 1_000;

const windowOf = (reason: string, failures: number): readonly [number, number] => {
  try {
    const { retryAfterMs } = JSON.parse(reason) as { retryAfterMs: [number, number] };
    return retryAfterMs;
  } catch {
    return [0, Math.min(backoffMs.most, backoffMs.first * 2 ** failures)];
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
export const resumingSocket = (options: ResumingSocketOptions): ResumingSocket => {
  const waiting = new Map<string, Waiting>();
  const arrivals = new Set<() => void>();
  const outages: Outage[] = [];
  let socket: WebSocket | undefined;
  let space = '';
  let from = 0;
  let position: Position | undefined;
  let authExpiresAt = 0;
  let pingMs = 25_000;
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
    live = true;
    const over = outage();
    if (over) over.backMs = Date.now();
    for (const arrival of arrivals) arrival();
  };

  const settle = (id: string): Waiting | undefined => {
    const one = waiting.get(id);
    waiting.delete(id);
    clearTimeout(one?.timer);
    return one;
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
    const [least, most] = windowOf(reason, outage()?.failures.length ?? 0);
    timer = setTimeout(() => void connect(), least + Math.random() * (most - least));
  };

  /** A connection that was open is gone, or an attempt came to nothing. */
  const lost = (code: number, reason: string, why: string) => {
    clearTimeout(silence);
    socket = undefined;
    for (const id of [...waiting.keys()]) settle(id)?.reject(new NoAnswer(`closed with ${code}`));
    if (closed) return;
    if (final.has(code)) {
      ended = code;
      for (const arrival of arrivals) arrival();
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
  return {
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
    untilLive: async (timeoutMs) => {
      if (live) return;
      await new Promise<void>((resolve, reject) => {
        const settled = () => {
          clearTimeout(late);
          arrivals.delete(settled);
          if (live) resolve();
          else reject(new NoAnswer(ended === undefined ? 'no connection in time' : `ended with ${ended}`));
        };
        const late = setTimeout(settled, timeoutMs);
        arrivals.add(settled);
        if (ended !== undefined) settled();
      });
    },
    request: (frame, timeoutMs = answerTimeoutMs) =>
      new Promise((resolve, reject) => {
        if (!live || !socket) return reject(new NoAnswer('not connected'));
        if (waiting.size >= maxUnanswered) return reject(new NoAnswer('too many requests without an answer'));
        const id = String(nextId);
        nextId += 1;
        const late = () => settle(id)?.reject(new NoAnswer(`no answer in ${timeoutMs} ms`));
        waiting.set(id, { resolve, reject, timer: setTimeout(late, timeoutMs) });
        socket.send(JSON.stringify({ ...frame, id }));
      }),
    close: () => {
      closed = true;
      clearTimeout(timer);
      clearTimeout(silence);
      socket?.close();
      for (const id of [...waiting.keys()]) settle(id)?.reject(new NoAnswer('closed'));
    },
  };
};
