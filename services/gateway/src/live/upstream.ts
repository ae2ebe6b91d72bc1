import type { syncV1 } from '@skein/contracts';
import { type RpcClient, rootContext } from '@skein/rpc';
import type { Service } from '@skein/service-kit';
import type { Logger, MetricRegistry } from '@skein/telemetry';
import { fullJitter, pause } from './backoff.ts';

type Request = NonNullable<syncV1.LiveRequest['frame']>;

/** What the upstream is made of. */
export interface UpstreamOptions {
  readonly sync: RpcClient<syncV1.SyncServiceService>;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  readonly random: () => number;
  /** Everything to say at the beginning of a stream: what is followed from where, who is attached. */
  readonly greeting: () => Iterable<Request>;
  readonly onFrame: (frame: NonNullable<syncV1.LiveResponse['frame']>) => void;
  /** First and longest wait before a broken stream is opened again. */
  readonly retry: { readonly baseMs: number; readonly capMs: number };
}

/** The one `Live` stream of this gateway. */
export interface Upstream extends Service {
  /** Sends now when the stream is open; otherwise the next greeting says it. */
  send(request: Request): void;
}

/** Requests that may wait for the stream to take them; more means upstream does not read: open it anew. */
const maxQueued = 100_000;

class Requests implements AsyncIterable<syncV1.LiveRequest> {
  private queue: Request[];
  private wake: (() => void) | undefined;
  private ended = false;

  constructor(greeting: Iterable<Request>) {
    this.queue = [...greeting];
  }

  push(request: Request): boolean {
    if (this.queue.length >= maxQueued) return false;
    this.queue.push(request);
    this.wake?.();
    return true;
  }

  end(): void {
    this.ended = true;
    this.wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<syncV1.LiveRequest> {
    while (!this.ended) {
      const batch = this.queue;
      this.queue = [];
      for (const frame of batch) yield { frame };
      if (this.queue.length > 0 || this.ended) continue;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }
}

/**
 * Keeps one `Live` stream open: at once again when it ends by itself, after a full-jitter wait when it broke.
 * What is followed and who is attached is said anew at every opening, so nothing is lost in between.
 */
export const upstream = (options: UpstreamOptions): Upstream => {
  const stopped = new AbortController();
  let requests: Requests | undefined;
  let attempt: AbortController | undefined;
  let running: Promise<void> | undefined;
  const opened = options.metrics.counter('gateway_live_opened_total', 'Live streams opened to session-sync');
  const broken = options.metrics.counter('gateway_live_broken_total', 'Live streams that ended with a fault');

  const once = async (): Promise<'ended' | 'broken'> => {
    const abort = new AbortController();
    const mine = new Requests(options.greeting());
    attempt = abort;
    requests = mine;
    opened.add();
    try {
      const signal = AbortSignal.any([abort.signal, stopped.signal]);
      const context = rootContext({ timeoutMs: Number.POSITIVE_INFINITY, signal });
      for await (const { frame } of options.sync.live(mine, context)) {
        if (frame) options.onFrame(frame);
      }
      return 'ended';
    } catch (error) {
      if (!stopped.signal.aborted) {
        broken.add();
        options.log.warn({ err: error }, 'the live stream broke; opening it again');
      }
      return 'broken';
    } finally {
      mine.end();
      if (requests === mine) requests = undefined;
    }
  };

  const loop = async () => {
    let failures = 0;
    while (!stopped.signal.aborted) {
      const started = performance.now();
      const end = await once();
      // A stream that ends as soon as it is open would otherwise be a tight loop.
      const lasted = performance.now() - started > options.retry.capMs;
      failures = lasted ? (end === 'ended' ? 0 : 1) : failures + 1;
      const { baseMs, capMs } = options.retry;
      const wait = failures === 0 ? 0 : fullJitter(failures, baseMs, capMs, options.random);
      await pause(wait, stopped.signal);
    }
  };

  return {
    id: 'live upstream',
    async run() {
      running = loop();
    },
    send(request) {
      if (requests && !requests.push(request)) attempt?.abort(new Error('upstream does not read'));
    },
    async stop() {
      stopped.abort(new Error('stopping'));
      await running;
    },
  };
};
