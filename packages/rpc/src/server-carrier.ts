import { AppError } from '@skein/contracts';
import type { CallContext } from './call-context.ts';
import {
  type CarriedAnswer,
  type CarriedAnswers,
  type CarriedCall,
  type CarriedCalls,
  onceIn,
  takeMessage,
} from './carried-call.ts';
import type { UntypedHandler } from './definition.ts';
import { writtenStatusOf } from './fault.ts';
import { admit, Observation } from './server-call.ts';
import { ServerContext } from './server-context.ts';
import type { ServedUnary } from './server-unary.ts';
import type { SurfaceCall } from './surface-call.ts';
import { metadataKeys, type ReadableMetadata } from './wire-metadata.ts';

/** Calls of one stream that are being worked on; more wait unread in it. */
const maxCalls = 1_000;

const nothing = Buffer.alloc(0);

/** A carried call as its own call would look to us. */
class Surface implements SurfaceCall {
  readonly metadata: ReadableMetadata;
  readonly #deadlineMs: number;
  #onCancelled: (() => void) | undefined;
  cancelled = false;

  constructor({ authorization, traceparent, correlationId, timeoutMs }: CarriedCall) {
    const values: Readonly<Record<string, string>> = {
      [metadataKeys.authorization]: authorization,
      [metadataKeys.traceparent]: traceparent,
      [metadataKeys.correlationId]: correlationId,
    };
    this.metadata = { get: (key) => (values[key] ? [values[key]] : []) };
    this.#deadlineMs = Date.now() + timeoutMs;
  }

  getDeadline(): number {
    return this.#deadlineMs;
  }

  once(_event: 'cancelled', listener: () => void): void {
    this.#onCancelled = listener;
  }

  cancel(): void {
    this.cancelled = true;
    this.#onCancelled?.();
  }
}

/** What carries calls of a unary method: each is admitted, measured, traced and answered as one of its own. */
export const carrierOf = (
  { method, handler }: ServedUnary,
  deserialize: (bytes: Buffer) => unknown,
  serialize: (value: unknown) => Buffer,
): UntypedHandler => {
  /** Its deadline is the caller's to keep: it cancels what it does not wait for, and so does the end of the stream. */
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
      ctx = new ServerContext(surface, verified, surface.getDeadline());
      const own = ctx;
      const work = observation.within(() => handler(deserialize(call.request), own)) as Promise<unknown>;
      work
        .then((response) => {
          const bytes = serialize(response);
          own.answered();
          observation.succeeded();
          answer({ number, status: 0, details: '', response: bytes, fault: nothing, final: false });
        })
        .catch(refuse);
    } catch (thrown) {
      refuse(thrown);
    }
  };

  return async function* (input: unknown, ctx: CallContext): AsyncGenerator<CarriedAnswers> {
    const underWay = new Map<number, Surface>();
    const answers: CarriedAnswer[] = [];
    let ended = false;
    let failure: unknown;
    let told: boolean = false;
    let wake = () => {};
    let room = () => {};
    // What is done together is answered together: when all that follows from one event has been done.
    const later = onceIn(process.nextTick, () => wake());

    const take = (call: CarriedCall) => {
      if (underWay.has(call.number)) throw new AppError('invalid_request', 'A number was used twice');
      const surface = new Surface(call);
      underWay.set(call.number, surface);
      serve(call, surface, (answer) => {
        underWay.delete(call.number);
        answers.push(answer);
        room();
        later();
      });
    };
    const listen = async () => {
      for await (const { calls, cancelled } of input as AsyncIterable<CarriedCalls>) {
        for (const number of cancelled) underWay.get(number)?.cancel();
        for (const call of calls) {
          while (underWay.size >= maxCalls && !ended)
            await new Promise<void>((resolve) => {
              room = resolve;
            });
          if (ended) return;
          take(call);
        }
      }
    };

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
        const ending: boolean = ctx.signal.aborted && !told;
        if (answers.length > 0 || ending) {
          if (ending) told = true;
          const done = takeMessage(answers, ({ response, fault }) => response.length + fault.length);
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
      ended = true;
      room();
      ctx.signal.removeEventListener('abort', onAbort);
      for (const surface of underWay.values()) surface.cancel();
    }
  };
};
