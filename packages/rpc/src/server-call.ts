import type { ServerInterceptingCall, ServerInterceptingCallInterface } from '@grpc/grpc-js';
import { AppError, toAppError } from '@skein/contracts';
import { type Logger, type OpenSpan, openSpan, SpanKind } from '@skein/telemetry';
import { isRemote } from './fault.ts';
import type { Identity, Verified } from './identity.ts';
import type { MethodMetrics } from './method-metrics.ts';
import { metadataKeys, type ReadableMetadata, textOf } from './wire-metadata.ts';

/** What every call of one method shares: made once, when the server is. */
export interface ServedMethod {
  readonly path: string;
  readonly identity: Identity;
  readonly log: Logger;
  readonly metrics: MethodMetrics;
  /** The services that may call; `any`: every verified one. */
  readonly allow: ReadonlySet<string> | 'any';
  readonly attributes: Readonly<Record<string, string>>;
}

/** Steps between grpc-js and the handler of one method. */
export type CallTaker = (next: ServerInterceptingCallInterface) => ServerInterceptingCall;

/** Who calls; throws when it may not. Asked before anything else of a call is read, its request least of all. */
export const admit = (method: ServedMethod, metadata: ReadableMetadata): Verified => {
  const verified = method.identity.verify(textOf(metadata, metadataKeys.authorization));
  if (method.allow !== 'any' && !method.allow.has(verified.caller)) {
    throw new AppError('forbidden', `${verified.caller} may not call ${method.path}`);
  }
  return verified;
};

/** The span and the measurement of one call, from its arrival to its end. */
export class Observation {
  readonly #method: ServedMethod;
  readonly #startedMs = performance.now();
  readonly #span: OpenSpan;

  constructor(method: ServedMethod, metadata: ReadableMetadata) {
    this.#method = method;
    this.#span = openSpan(method.path.slice(1), {
      kind: SpanKind.SERVER,
      traceparent: textOf(metadata, metadataKeys.traceparent),
      attributes: method.attributes,
    });
  }

  /** Runs `work` so that its own spans become children of this call's. */
  within<T>(work: () => T): T {
    return this.#span.within(work);
  }

  succeeded(): void {
    this.#span.end();
    this.#method.metrics.done(this.#startedMs, 'ok');
  }

  /** The fault to answer with. A bug is logged here, once: where it happened, not where it passes through. */
  failed(thrown: unknown): AppError {
    const error = toAppError(thrown);
    const { log, path, metrics } = this.#method;
    if (error.code === 'internal' && !isRemote(error)) {
      this.#span.within(() => log.error({ err: error.cause ?? error, rpc: path }, 'a call failed'));
    }
    this.#span.end(error);
    metrics.done(this.#startedMs, error.code);
    return error;
  }
}
