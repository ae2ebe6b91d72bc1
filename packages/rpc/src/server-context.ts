import { AppError } from '@skein/contracts';
import type { Actor, CallContext } from './call-context.ts';
import type { Verified } from './identity.ts';
import type { SurfaceCall } from './surface-call.ts';
import { traceIdOf } from './trace-id.ts';
import { metadataKeys, textOf } from './wire-metadata.ts';

/** The context of one call on the server. Its signal exists only once somebody asks for it. */
export class ServerContext implements CallContext {
  readonly caller: string;
  readonly actor: Actor | undefined;
  readonly deadlineMs: number;
  readonly correlationId: string;
  readonly idempotencyKey: string | undefined;
  readonly #call: SurfaceCall;
  #ended: AppError | undefined;
  #controller: AbortController | undefined;
  #answered = false;

  constructor(call: SurfaceCall, { caller, actor }: Verified, deadlineMs: number) {
    this.#call = call;
    this.caller = caller;
    this.actor = actor;
    this.deadlineMs = deadlineMs;
    this.correlationId =
      textOf(call.metadata, metadataKeys.correlationId) ??
      traceIdOf(textOf(call.metadata, metadataKeys.traceparent)) ??
      '';
    this.idempotencyKey = textOf(call.metadata, metadataKeys.idempotencyKey);
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      const { ended } = this;
      if (ended) this.#controller.abort(ended);
      else this.#call.once('cancelled', () => this.#left());
    }
    return this.#controller.signal;
  }

  /** Why nobody waits any more; undefined while somebody does. */
  get ended(): AppError | undefined {
    if (this.#call.cancelled) this.#left();
    return this.#ended;
  }

  /** The handler is done: what happens to the call from now on is no reason to interrupt anything. */
  answered(): void {
    this.#answered = true;
  }

  /** Aborts the signal; only the first reason counts. */
  end(reason: AppError): void {
    if (this.#ended) return;
    this.#ended = reason;
    this.#controller?.abort(reason);
  }

  // grpc-js says "cancelled" at the end of every call, answered or not.
  #left(): void {
    if (this.#answered) return;
    this.end(new AppError(Date.now() >= this.deadlineMs ? 'deadline_exceeded' : 'cancelled'));
  }
}

/** A gRPC deadline as epoch milliseconds. */
export const deadlineOf = (call: SurfaceCall): number => {
  const deadline = call.getDeadline();
  return deadline instanceof Date ? deadline.getTime() : deadline;
};
