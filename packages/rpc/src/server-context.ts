import { AppError } from '@skein/contracts';
import type { Actor, CallContext } from './call-context.ts';
import type { Verified } from './identity.ts';
import type { SurfaceCall } from './surface-call.ts';
import { metadataKeys, textOf } from './wire-metadata.ts';

/** The context of one call on the server. Its signal exists only once somebody asks for it. */
export class ServerContext implements CallContext {
  readonly caller: string;
  readonly actor: Actor | undefined;
  readonly deadlineMs: number;
  readonly correlationId: string;
  readonly idempotencyKey: string | undefined;
  #ended: AppError | undefined;
  #controller: AbortController | undefined;

  constructor(call: SurfaceCall, { caller, actor }: Verified, deadlineMs: number) {
    this.caller = caller;
    this.actor = actor;
    this.deadlineMs = deadlineMs;
    this.correlationId = textOf(call.metadata, metadataKeys.correlationId) ?? '';
    this.idempotencyKey = textOf(call.metadata, metadataKeys.idempotencyKey);
    call.once('cancelled', () =>
      this.end(new AppError(Date.now() >= deadlineMs ? 'deadline_exceeded' : 'cancelled')),
    );
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#ended) this.#controller.abort(this.#ended);
    }
    return this.#controller.signal;
  }

  /** Why nobody waits any more; undefined while somebody does. */
  get ended(): AppError | undefined {
    return this.#ended;
  }

  /** Aborts the signal; only the first reason counts. */
  end(reason: AppError): void {
    if (this.#ended) return;
    this.#ended = reason;
    this.#controller?.abort(reason);
  }
}

/** A gRPC deadline as epoch milliseconds. */
export const deadlineOf = (call: SurfaceCall): number => {
  const deadline = call.getDeadline();
  return deadline instanceof Date ? deadline.getTime() : deadline;
};
