import type { Outage } from './history.ts';
import {
  Arrivals,
  type Carrier,
  connectTimeoutMs,
  type Frame,
  finalCodes,
  pauseBefore,
  type Receiver,
  type ReceiverOptions,
} from './receiver.ts';

/** A receiver over HTTP. */
export interface ResumingStreamOptions extends ReceiverOptions {
  readonly carrier: Exclude<Carrier, 'WebSocket'>;
}

/** Why a stream or a poll is over. */
class Broken extends Error {
  override readonly name = 'Broken';
  /** As a WebSocket would have been closed. */
  readonly code: number;
  readonly window: [number, number] | undefined;
  constructor(code: number, why: string, window?: [number, number]) {
    super(why);
    this.code = code;
    this.window = window;
  }
}

interface Blocks {
  readonly id: string | undefined;
  readonly frame: Frame;
}

const pollWaitMs = 20_000;
/** An answer that is this much later than asked for will not come. */
const graceMs = 10_000;

const parsed = (block: string): Blocks | undefined => {
  const lines = block.split('\n');
  const field = (name: string) =>
    lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2));
  const data = field('data');
  return data.length > 0 ? { id: field('id')[0], frame: JSON.parse(data.join('\n')) as Frame } : undefined;
};

/** As the problem of a refusal says it; other answers are somebody else's, such as a proxy's. */
const refused = async (response: Response): Promise<Broken> => {
  const body = await response.text();
  // Without what is different every time, so that reasons can be counted.
  let why = `${response.status} ${body.slice(0, 200)}`;
  let retryAfterMs: unknown;
  try {
    const problem = JSON.parse(body) as { code?: unknown; detail?: unknown; retryAfterMs?: unknown };
    why = `${response.status} ${problem.code}: ${problem.detail}`;
    ({ retryAfterMs } = problem);
  } catch {
    // Nothing of ours.
  }
  const window = typeof retryAfterMs === 'number' ? ([retryAfterMs, retryAfterMs * 2] as const) : undefined;
  return new Broken(response.status === 401 ? 4001 : 1006, why, window && [...window]);
};

/**
 * Follows a person's space by server-sent events or long polls, as the protocol describes it: each request begins
 * behind the cursor of the last frame that was taken; after a break, back within the window that the server names, or
 * by full jitter; a stream is given up when it has been silent for two heartbeats and five seconds.
 */
export const resumingStream = (options: ResumingStreamOptions): Receiver => {
  const arrivals = new Arrivals();
  const outages: Outage[] = [];
  const closing = new AbortController();
  let cursor: string | undefined;
  let space = '';
  let from = 0;
  let position: { offset: number } | undefined;
  let beatMs = 25_000;
  let live = false;
  let ended: number | undefined;

  const outage = (): Outage | undefined => {
    const last = outages.at(-1);
    return last?.backMs === undefined ? last : undefined;
  };

  const back = () => {
    live = true;
    const over = outage();
    if (over) over.backMs = Date.now();
    arrivals.tell();
  };

  const apply = (frame: Frame) => {
    const { type } = frame;
    if (type === 'close') {
      const { code, retryAfterMs } = frame as unknown as { code: number; retryAfterMs?: [number, number] };
      throw new Broken(code, `closed with ${code}`, retryAfterMs);
    }
    if (type === 'welcome') {
      const [stream] = frame['streams'] as { space: string; offset: number }[];
      if (!stream) throw new Error('welcome without streams');
      beatMs = frame['pingMs'] as number;
      if (!position) {
        ({ space, offset: from } = stream);
        position = { offset: from };
      }
    } else if (frame['space'] === space && (type === 'event' || type === 'snapshot')) {
      if (type === 'event' || frame['part'] === frame['parts'])
        position = { offset: frame['offset'] as number };
    }
    options.frame(frame);
  };

  const ask = async (path: string, query: Record<string, string>, token: string, signal: AbortSignal) => {
    const search = new URLSearchParams({
      ...{ device: options.device, platform: 'cli', ...query },
      ...(cursor === undefined ? {} : { cursor }),
    });
    const response = await fetch(`${options.address()}${path}?${search}`, {
      headers: { authorization: `Bearer ${token}` },
      signal,
    });
    if (!response.ok) throw await refused(response);
    return response;
  };

  /** One stream, until it breaks. */
  const stream = async (token: string): Promise<never> => {
    const silent = new AbortController();
    let silence = setTimeout(() => silent.abort(), connectTimeoutMs);
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => silent.abort(), 2 * beatMs + 5_000);
    };
    try {
      const signal = AbortSignal.any([closing.signal, silent.signal]);
      const response = await ask('/v1/stream', {}, token, signal);
      const decoder = new TextDecoder();
      let text = '';
      for await (const chunk of response.body ?? []) {
        heard();
        text += decoder.decode(chunk as Uint8Array, { stream: true });
        const blocks = text.split('\n\n');
        text = blocks.pop() ?? '';
        for (const { id, frame } of blocks.map(parsed).filter((one) => one !== undefined)) {
          apply(frame);
          cursor = id ?? cursor;
          if (frame.type === 'welcome') back();
        }
      }
      throw new Broken(1006, 'the stream ended');
    } finally {
      clearTimeout(silence);
    }
  };

  /** One poll after the other, until one fails. */
  const polls = async (token: string): Promise<void> => {
    // After a break at once: an answer that waits for news would say late that it is back.
    const waitMs = cursor === undefined || !live ? 0 : pollWaitMs;
    const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(waitMs + graceMs)]);
    const response = await ask('/v1/poll', { waitMs: String(waitMs) }, token, signal);
    const answer = (await response.json()) as { cursor: string; frames: Frame[] };
    for (const frame of answer.frames) apply(frame);
    ({ cursor } = answer);
    back();
  };

  const lost = (error: unknown): { window: [number, number] | undefined } => {
    const { code, window } = error instanceof Broken ? error : new Broken(1006, '');
    const cause = (error as { cause?: { code?: string } }).cause?.code;
    const why = cause ?? (error instanceof Error ? error.message : String(error));
    if (live) outages.push({ startedMs: Date.now(), code, failures: [] });
    else outage()?.failures.push(why);
    live = false;
    return { window };
  };

  const forever = async () => {
    while (!closing.signal.aborted && ended === undefined) {
      const token = await options.token();
      try {
        if (options.carrier === 'SSE') await stream(token);
        else await polls(token);
      } catch (error) {
        if (closing.signal.aborted) return;
        const { window } = lost(error);
        const { code } = error instanceof Broken ? error : { code: 1006 };
        // A session that ran out is renewed by the next request, if there is a newer token.
        if (finalCodes.has(code) && !(code === 4001 && (await options.token()) !== token)) ended = code;
        else
          await new Promise((resolve) =>
            setTimeout(resolve, pauseBefore(window, outage()?.failures.length ?? 0)),
          );
      }
    }
    arrivals.tell();
  };

  void forever();
  const self: Receiver = {
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
    outages,
    get ended() {
      return ended;
    },
    untilLive: (timeoutMs) => arrivals.until(self, timeoutMs),
    close: () => closing.abort(),
  };
  return self;
};
