import { AppError, toAppError } from '@skein/contracts';
import { type Logger, SpanKind, withSpan } from '@skein/telemetry';
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

/** Runs the work of a call inside its span, measures it, and logs a bug once: where it happened. */
export const observed = async <T>(
  method: ServedMethod,
  call: SurfaceCall,
  work: () => Promise<T>,
): Promise<T> => {
  const startedMs = performance.now();
  let code = 'ok';
  try {
    return await withSpan(
      method.path,
      {
        kind: SpanKind.SERVER,
        traceparent: textOf(call.metadata, metadataKeys.traceparent),
        attributes: method.attributes,
      },
      work,
    );
  } catch (thrown) {
    const error = toAppError(thrown);
    code = error.code;
    if (code === 'internal' && !isRemote(error)) {
      method.log.error({ err: error.cause ?? error, rpc: method.path }, 'a call failed');
    }
    throw error;
  } finally {
    method.metrics.done(startedMs, code);
  }
};
