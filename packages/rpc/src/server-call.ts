import { AppError, toAppError } from '@skein/contracts';
import { type Logger, type OpenSpan, openSpan, SpanKind } from '@skein/telemetry';
import { isRemote } from './fault.ts';
import type { Identity } from './identity.ts';
import type { MethodMetrics } from './method-metrics.ts';
import { ServerContext } from './server-context.ts';
import type { SurfaceCall } from './surface-call.ts';
import { metadataKeys, textOf } from './wire-metadata.ts';

/** What every call of one method shares: made once, when the server is. */
export interface ServedMethod {
  readonly path: string;
  readonly identity: Identity;
  readonly log: Logger;
  readonly metrics: MethodMetrics;
  /** Undefined: every verified service may call. */
  readonly allow: ReadonlySet<string> | undefined;
  readonly attributes: Readonly<Record<string, string>>;
}

/** Checks who calls, before anything else of the call is looked at. */
export const admit = (method: ServedMethod, call: SurfaceCall, deadlineMs: number): ServerContext => {
  const verified = method.identity.verify(textOf(call.metadata, metadataKeys.authorization));
  if (method.allow && !method.allow.has(verified.caller)) {
    throw new AppError('forbidden', `${verified.caller} may not call ${method.path}`);
  }
  return new ServerContext(call, verified, deadlineMs);
};

/** The span and the measurement of one call, from its arrival to its end. */
export class Observation {
  readonly #method: ServedMethod;
  readonly #startedMs = performance.now();
  readonly #span: OpenSpan;

  constructor(method: ServedMethod, call: SurfaceCall) {
    this.#method = method;
    this.#span = openSpan(method.path.slice(1), {
      kind: SpanKind.SERVER,
      traceparent: textOf(call.metadata, metadataKeys.traceparent),
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
