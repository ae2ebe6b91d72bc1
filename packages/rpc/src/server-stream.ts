import {
  type ServerDuplexStream,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerWritableStream,
} from '@grpc/grpc-js';
import { AppError } from '@skein/contracts';
import type { UntypedHandler } from './definition.ts';
import { drained } from './drained.ts';
import { statusOf } from './fault.ts';
import { admit, type CallTaker, Observation, type ServedMethod } from './server-call.ts';
import { deadlineOf, ServerContext } from './server-context.ts';

/** How long streams live and how they are told to end. */
export interface StreamLimits {
  /** Mean age at which a stream is told to end; each gets up to 10 % more or less, so that not all end at once. */
  readonly maxAgeMs: number;
  /** After its signal, a stream has this long to end by itself. */
  readonly graceMs: number;
  /** 0 ≤ n < 1. */
  readonly random: () => number;
  readonly registry: StreamRegistry;
}

/** The streams of a server that are open, so that draining it can end them. */
export interface StreamRegistry {
  /** Calls `end` when the server drains; at once when it already does. Returns the way out. */
  add(end: (reason: AppError) => void): () => void;
  /** Tells all streams to end, and all that still come. */
  drain(): void;
}

/** The registry of one server. */
export const streamRegistry = (): StreamRegistry => {
  const open = new Set<(reason: AppError) => void>();
  let draining = false;
  const tell = (end: (reason: AppError) => void) =>
    end(new AppError('unavailable', 'The server is stopping; open the stream again', { retryAfterMs: 0 }));
  return {
    add: (end) => {
      open.add(end);
      if (draining) tell(end);
      return () => open.delete(end);
    },
    drain: () => {
      draining = true;
      for (const end of open) tell(end);
    },
  };
};

type StreamCall = ServerWritableStream<unknown, unknown> | ServerDuplexStream<unknown, unknown>;

/** Something that ends a stream in the middle of what it waits for. */
class Cut {
  #reason: AppError | undefined;
  #reject: ((reason: AppError) => void) | undefined;

  /** Rejects what is being waited for, and everything after it; only the first time counts. */
  now(reason: AppError): void {
    this.#reason ??= reason;
    this.#reject?.(this.#reason);
  }

  /**
   * What `work` gives unless the cut comes first; one wait at a time. Not a race against one promise for all: every
   * race would leave something behind on it until the stream ends, for each of its millions of values.
   */
  or<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      work.then(resolve, reject);
      if (this.#reason) reject(this.#reason);
    });
  }
}

/**
 * A streaming handler as grpc-js calls it: pulls the handler's values only as fast as the peer takes them. At its
 * maximal age, or when the server drains, `ctx.signal` aborts; a stream that has not ended by itself after the
 * grace is ended with `unavailable`, which tells the caller to open it again.
 */
export const serveStream =
  (method: ServedMethod, handler: UntypedHandler, requestStream: boolean, limits: StreamLimits) =>
  (call: StreamCall): void => {
    const work = async () => {
      const ageMs = limits.maxAgeMs * (0.9 + 0.2 * limits.random());
      const verified = admit(method, call.metadata);
      const ctx = new ServerContext(call, verified, Math.min(deadlineOf(call), Date.now() + ageMs));
      await pump(ctx, ageMs);
    };

    const pump = async (ctx: ServerContext, ageMs: number) => {
      let grace: NodeJS.Timeout | undefined;
      const cut = new Cut();
      const end = (reason: AppError) => {
        if (ctx.ended) return;
        ctx.end(reason);
        grace = setTimeout(() => cut.now(reason), limits.graceMs);
      };
      const age = setTimeout(
        () => end(new AppError('unavailable', 'The stream has reached its age; open it again')),
        ageMs,
      );
      const gone = () => cut.now(ctx.ended ?? new AppError('cancelled'));
      call.once('cancelled', gone);
      call.once('error', gone);
      const leave = limits.registry.add(end);
      const request = requestStream ? requestsOf(call as ServerDuplexStream<unknown, unknown>) : undefined;
      const values = handler(request ?? (call as ServerWritableStream<unknown, unknown>).request, ctx);
      const iterator = (values as AsyncIterable<unknown>)[Symbol.asyncIterator]();
      try {
        for (;;) {
          const next = await cut.or(iterator.next());
          if (next.done) return;
          if (!call.write(next.value)) await cut.or(drained(call));
        }
      } catch (thrown) {
        // The handler may be waiting for something that never comes: its clean-up is started, not awaited.
        iterator.return?.()?.catch(() => {});
        throw ctx.ended ?? thrown;
      } finally {
        clearTimeout(age);
        clearTimeout(grace);
        leave();
        ctx.end(new AppError('cancelled'));
      }
    };

    const observation = new Observation(method, call.metadata);
    observation.within(work).then(
      () => {
        observation.succeeded();
        call.end();
      },
      (thrown: unknown) => {
        call.emit('error', statusOf(observation.failed(thrown)));
      },
    );
  };

type Listener = Parameters<ServerInterceptingCallInterface['start']>[0];

/** A call whose handler grpc-js runs only once it has read the request: the caller is looked at before that. */
class EarlyAdmission extends ServerInterceptingCall {
  readonly #next: ServerInterceptingCallInterface;
  readonly #method: ServedMethod;

  constructor(next: ServerInterceptingCallInterface, method: ServedMethod) {
    super(next);
    this.#next = next;
    this.#method = method;
  }

  override start(listener: Listener): void {
    this.#next.start({
      onReceiveMetadata: (metadata) => {
        try {
          admit(this.#method, metadata);
        } catch (thrown) {
          this.#next.sendStatus(statusOf(new Observation(this.#method, metadata).failed(thrown)));
          return;
        }
        listener.onReceiveMetadata(metadata);
      },
      onReceiveMessage: (message) => listener.onReceiveMessage(message),
      onReceiveHalfClose: () => listener.onReceiveHalfClose(),
      onCancel: () => listener.onCancel(),
    });
  }
}

/** Looks at the callers of a method before their requests are read. */
export const admitEarly =
  (method: ServedMethod): CallTaker =>
  (next) =>
    new EarlyAdmission(next, method);

/**
 * The requests of a bidirectional call; ends when the caller has sent its last one or is gone. HTTP/2 closes the
 * sending half before it resets a stream, so which of the two it was shows a moment later, in `ctx.signal`.
 */
async function* requestsOf(call: ServerDuplexStream<unknown, unknown>): AsyncGenerator<unknown> {
  try {
    // A handler that has read enough may still have something to say.
    for await (const request of call.iterator({ destroyOnReturn: false })) yield request;
  } catch (error) {
    // A caller that went away is no fault of the handler's.
    if (!call.cancelled) throw error;
  }
}
