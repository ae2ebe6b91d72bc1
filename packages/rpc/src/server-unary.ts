import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  status,
} from '@grpc/grpc-js';
import { AppError } from '@skein/contracts';
import type { UntypedHandler } from './definition.ts';
import { statusOf } from './fault.ts';
import { admit, type CallTaker, Observation, type ServedMethod } from './server-call.ts';
import { deadlineOf, ServerContext } from './server-context.ts';
import type { SurfaceCall } from './surface-call.ts';

/** A unary method and its handler. */
export interface ServedUnary {
  readonly method: ServedMethod;
  readonly handler: UntypedHandler;
}

/**
 * One unary call, taken at the interceptor: what grpc-js would make of it first (a writable stream with its events,
 * for one message) costs an eighth of a small call. A call without a deadline is refused: it would wait for ever.
 */
class UnaryServerCall extends ServerInterceptingCall implements SurfaceCall {
  readonly #next: ServerInterceptingCallInterface;
  readonly #served: ServedUnary;
  #metadata: Metadata | undefined;
  #ctx: ServerContext | undefined;
  #request: unknown;
  #onCancelled: (() => void) | undefined;
  cancelled = false;

  constructor(next: ServerInterceptingCallInterface, served: ServedUnary) {
    super(next);
    this.#next = next;
    this.#served = served;
  }

  get metadata(): Metadata {
    if (!this.#metadata) throw new Error('bug: metadata asked for before it came');
    return this.#metadata;
  }

  once(_event: 'cancelled', listener: () => void): void {
    this.#onCancelled = listener;
  }

  // grpc-js passes the listener of its own handler, which is never to hear of this call.
  override start(): void {
    this.#next.start(this);
  }

  onReceiveMetadata(metadata: Metadata): void {
    this.#metadata = metadata;
    const { method } = this.#served;
    try {
      const verified = admit(method, metadata);
      const deadlineMs = deadlineOf(this);
      if (deadlineMs === Number.POSITIVE_INFINITY) {
        throw new AppError('invalid_request', 'A call needs a deadline');
      }
      this.#ctx = new ServerContext(this, verified, deadlineMs);
    } catch (thrown) {
      // The request is left unread.
      this.#next.sendStatus(statusOf(new Observation(method, metadata).failed(thrown)));
      return;
    }
    this.#next.startRead();
  }

  onReceiveMessage(message: unknown): void {
    if (this.#request === undefined) {
      this.#request = message;
      this.#next.startRead();
    } else {
      this.#refuseShape();
    }
  }

  onReceiveHalfClose(): void {
    if (this.#request === undefined) this.#refuseShape();
    else this.#serve();
  }

  onCancel(): void {
    this.cancelled = true;
    this.#onCancelled?.();
  }

  #refuseShape(): void {
    this.#next.sendStatus({ code: status.UNIMPLEMENTED, details: 'Exactly one request is expected' });
  }

  #serve(): void {
    const { method, handler } = this.#served;
    const ctx = this.#ctx;
    if (!ctx) throw new Error('bug: a request was read before its caller was known');
    const observation = new Observation(method, this.metadata);
    const answer = (response: unknown) => {
      ctx.answered();
      observation.succeeded();
      this.#next.sendMessage(response, () => this.#next.sendStatus({ code: status.OK, details: 'OK' }));
    };
    const refuse = (thrown: unknown) => {
      // Whatever an interrupted handler throws, it was interrupted.
      const reason = ctx.ended ?? thrown;
      ctx.answered();
      this.#next.sendStatus(statusOf(observation.failed(reason)));
    };
    try {
      const work = observation.within(() => handler(this.#request, ctx)) as Promise<unknown>;
      work.then(answer, refuse);
    } catch (thrown) {
      refuse(thrown);
    }
  }
}

/** Takes the calls of a unary method, all the way to their answer. */
export const takeUnary =
  (served: ServedUnary): CallTaker =>
  (next) =>
    new UnaryServerCall(next, served);
