import { AppError } from '@skein/contracts';
import type { CallContext } from './call-context.ts';
import {
  type CarriedAnswer,
  type CarriedAnswers,
  type CarriedCall,
  type CarriedCalls,
  onceIn,
  oneMessage,
} from './carried-call.ts';
import type { UntypedHandler } from './definition.ts';
import { writtenStatusOf } from './fault.ts';
import { maxMessageBytes, maxUnaryMs } from './limits.ts';
import { admit, Observation } from './server-call.ts';
import { ServerContext } from './server-context.ts';
import type { ServedUnary } from './server-unary.ts';
import type { SurfaceCall } from './surface-call.ts';
import { metadataKeys, type ReadableMetadata } from './wire-metadata.ts';

/** Calls of one stream that are being worked on; more wait unread in it. */
const maxCalls = 1_000;

/** An answer leaves this much of its message to what stands beside it. */
const maxAnswerBytes = maxMessageBytes - 1_000;

const nothing = Buffer.alloc(0);

const partsOf = ({ response, details, fault }: CarriedAnswer) => [response, details, fault];

/** A carried call as its own call would look to us. It ends with its time, or earlier when nobody waits for it. */
class Surface implements SurfaceCall {
  readonly metadata: ReadableMetadata;
  readonly #deadlineMs: number;
  readonly #timer: NodeJS.Timeout;
  readonly #left: () => void;
  #onCancelled: (() => void) | undefined;
  cancelled = false;

  constructor(
    { authorization, traceparent, correlationId, timeoutMs }: CarriedCall,
    readMs: number,
    left: () => void,
  ) {
    const values: Readonly<Record<string, string>> = {
      [metadataKeys.authorization]: authorization,
      [metadataKeys.traceparent]: traceparent,
      [metadataKeys.correlationId]: correlationId,
    };
    this.metadata = { get: (key) => (values[key] ? [values[key]] : []) };
    this.#deadlineMs = readMs + Math.min(timeoutMs, maxUnaryMs);
    this.#left = left;
    // Timers may come a millisecond early.
    this.#timer = setTimeout(() => this.cancel(), this.#deadlineMs - Date.now() + 1);
  }

  getDeadline(): number {
    return this.#deadlineMs;
  }

  once(_event: 'cancelled', listener: () => void): void {
    this.#onCancelled = listener;
  }

  /** It has its answer: its time does not count any more. */
  answered(): void {
    clearTimeout(this.#timer);
  }

  /** Nobody waits for the answer. */
  cancel(): void {
    if (this.cancelled) return;
    clearTimeout(this.#timer);
    this.cancelled = true;
    this.#onCancelled?.();
    this.#left();
  }
}

/** What carries calls of a unary method: each is admitted, measured, traced and answered as one of its own. */
export const carrierOf = (
  { method, handler }: ServedUnary,
  deserialize: (bytes: Buffer) => unknown,
  serialize: (value: unknown) => Buffer,
): UntypedHandler => {
  const serve = (call: CarriedCall, surface: Surface, answer: (answer: CarriedAnswer) => void): void => {
    const { number } = call;
    const observation = new Observation(method, surface.metadata);
    let ctx: ServerContext | undefined;
    const refuse = (thrown: unknown) => {
      const status = writtenStatusOf(observation.failed(ctx?.ended ?? thrown));
      ctx?.answered();
      answer({ number, ...status, response: nothing });
    };
    try {
      const verified = admit(method, surface.metadata);
      // It may have waited for its turn.
      if (surface.getDeadline() <= Date.now()) throw new AppError('deadline_exceeded');
      ctx = new ServerContext(surface, verified, surface.getDeadline());
      const own = ctx;
      const work = observation.within(() => handler(deserialize(call.request), own)) as Promise<unknown>;
      work
        .then((response) => {
          const bytes = serialize(response);
          // A message that the other side does not take would end the stream of all others.
          if (bytes.length > maxAnswerBytes)
            throw new AppError('too_large', `An answer must be at most ${maxAnswerBytes} bytes long`);
          own.answered();
          observation.succeeded();
          answer({ number, status: 0, details: '', response: bytes, fault: nothing, final: false });
        })
        .catch(refuse);
    } catch (thrown) {
      refuse(thrown);
    }
  };

  return (input: unknown, ctx: CallContext): AsyncIterable<CarriedAnswers> => {
    const underWay = new Map<number, Surface>();
    const answers: CarriedAnswer[] = [];
    /** No more calls come. */
    let ended = false;
    /** Nobody reads answers any more. */
    let cut = false;
    let failure: unknown;
    let told = false;
    let wake = () => {};
    let room = () => {};
    // What is done together is answered together: when all that follows from one event has been done.
    const later = onceIn(process.nextTick, () => wake());

    const take = (call: CarriedCall, readMs: number) => {
      const { number } = call;
      if (underWay.has(number)) throw new AppError('invalid_request', 'A number was used twice');
      const done = () => {
        underWay.delete(number);
        room();
        later();
      };
      const surface = new Surface(call, readMs, done);
      underWay.set(number, surface);
      serve(call, surface, (answer) => {
        if (surface.cancelled) return;
        surface.answered();
        answers.push(answer);
        done();
      });
    };
    const listen = async () => {
      for await (const { calls, cancelled } of input as AsyncIterable<CarriedCalls>) {
        const readMs = Date.now();
        for (const number of cancelled) underWay.get(number)?.cancel();
        for (const call of calls) {
          while (underWay.size >= maxCalls && !ended)
            await new Promise<void>((resolve) => {
              room = resolve;
            });
          if (ended) return;
          if (!cancelled.includes(call.number)) take(call, readMs);
        }
      }
    };
    const stop = () => {
      ended = true;
      cut = true;
      for (const surface of underWay.values()) surface.cancel();
      room();
      wake();
    };

    const run = async function* (): AsyncGenerator<CarriedAnswers> {
      const onAbort = () => wake();
      ctx.signal.addEventListener('abort', onAbort, { once: true });
      listen().then(
        () => {
          ended = true;
          wake();
        },
        (error: unknown) => {
          failure = error;
          wake();
        },
      );
      try {
        yield { answers: [], ending: false };
        for (;;) {
          if (failure !== undefined) throw failure;
          if (cut) return;
          const ending: boolean = ctx.signal.aborted && !told;
          if (answers.length > 0 || ending) {
            if (ending) told = true;
            const done = answers.splice(0, oneMessage(answers, partsOf).length);
            yield { answers: done, ending };
            continue;
          }
          if (ended && underWay.size === 0) return;
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          wake = () => {};
        }
      } finally {
        stop();
        ctx.signal.removeEventListener('abort', onAbort);
      }
    };

    const values = run();
    return {
      [Symbol.asyncIterator]: () => ({
        next: () => values.next(),
        // The generator may be waiting for handlers that hang: it is woken, and goes without them.
        return: () => {
          stop();
          return values.return(undefined);
        },
      }),
    };
  };
};
