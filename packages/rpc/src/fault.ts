import { Metadata, type StatusObject, status } from '@grpc/grpc-js';
import { AppError, type Code, isCode, toAppError } from '@skein/contracts';
import { CircuitOpen } from '@skein/resilience';
import { NoConnection } from './not-sent.ts';
import { decodeRpcStatus, encodeRpcStatus } from './rpc-status.ts';

/** The only place where faults become gRPC statuses and back. */

const detailsKey = 'grpc-status-details-bin';
/** A negative value tells the caller not to try again (gRPC proposal A6). */
const pushbackKey = 'grpc-retry-pushback-ms';
const domain = 'skein';

/** What another process answered, as the cause of the fault made of it: for logs, never sent on. */
export class RemoteFault extends Error {
  override readonly name = 'RemoteFault';
  readonly path: string;
  readonly status: number;
  /** The other side asks not to be asked again: what failed lies behind it, and it has tried already. */
  readonly final: boolean;
  /** The service itself answered this; otherwise the connection was lost under the call. */
  readonly answered: boolean;
  constructor(path: string, error: StatusObject) {
    super(`${path} answered ${status[error.code]}: ${error.details}`);
    this.path = path;
    this.status = error.code;
    this.answered = error.metadata.get(detailsKey).length > 0;
    this.final = Number(error.metadata.get(pushbackKey)[0]) < 0;
  }
}

/** Whether the fault was already logged by the process it comes from. */
export const isRemote = (error: AppError): boolean => error.cause instanceof RemoteFault;

/** Whether the call was lost with its connection: its instance died, which says nothing about the others. */
export const isLost = (error: AppError): boolean =>
  error.code === 'unavailable' && error.cause instanceof RemoteFault && !error.cause.answered;

/** Whether the same call may be sent again: the other side has not said no, and it was reached at all. */
export const mayRetry = (error: AppError): boolean =>
  error.cause instanceof RemoteFault ? !error.cause.final : !(error.cause instanceof NoConnection);

/** Whether a fault comes from behind this process, where retries have been made already. */
const comesFromBehind = (error: unknown, depth = 0): boolean =>
  depth < 5 &&
  error instanceof Error &&
  (error instanceof RemoteFault ||
    error instanceof NoConnection ||
    error instanceof CircuitOpen ||
    comesFromBehind(error.cause, depth + 1));

/** A thrown thing as the status that ends a call. */
export const statusOf = (thrown: unknown): StatusObject => {
  const error = toAppError(thrown);
  const metadata = new Metadata();
  metadata.set(
    detailsKey,
    encodeRpcStatus({
      code: error.row.grpc,
      message: error.detail,
      reason: error.code,
      domain,
      metadata: error.meta,
      retryAfterMs: error.retryAfterMs,
      errors: error.errors,
    }),
  );
  // One hop retries, not every hop: three tries on each of three hops would be 27 calls.
  if (error.code === 'unavailable' && comesFromBehind(error.cause)) metadata.set(pushbackKey, '-1');
  return { code: error.row.grpc, details: error.detail, metadata };
};

/** The parts of a status as they are written where there are no trailers. */
export interface WrittenStatus {
  readonly status: number;
  readonly details: string;
  readonly fault: Buffer;
  readonly final: boolean;
}

/** A thrown thing as the parts of its status. */
export const writtenStatusOf = (thrown: unknown): WrittenStatus => {
  const { code, details, metadata } = statusOf(thrown);
  const [fault] = metadata.get(detailsKey);
  return { status: code, details, fault: fault as Buffer, final: metadata.get(pushbackKey).length > 0 };
};

/** The status that was written. */
export const readStatus = ({ status: code, details, fault, final }: WrittenStatus): StatusObject => {
  const metadata = new Metadata();
  if (fault.length > 0) metadata.set(detailsKey, fault);
  if (final) metadata.set(pushbackKey, '-1');
  return { code, details, metadata };
};

/** The status of a call that the transport ended. */
export const bareStatus = (code: status, details: string): StatusObject => ({
  ...{ code, details },
  metadata: new Metadata(),
});

/** What a bare status means when no details of ours come with it. */
const codeOf: Readonly<Partial<Record<number, Code>>> = {
  // Not by us (that is known before anybody looks here): the process that worked on it has ended.
  [status.CANCELLED]: 'unavailable',
  [status.INVALID_ARGUMENT]: 'invalid_request',
  [status.DEADLINE_EXCEEDED]: 'deadline_exceeded',
  [status.NOT_FOUND]: 'not_found',
  [status.ALREADY_EXISTS]: 'conflict',
  [status.PERMISSION_DENIED]: 'forbidden',
  [status.RESOURCE_EXHAUSTED]: 'overloaded',
  [status.ABORTED]: 'conflict',
  [status.UNIMPLEMENTED]: 'not_implemented',
  [status.UNAVAILABLE]: 'unavailable',
  [status.UNAUTHENTICATED]: 'unauthenticated',
};

/** The fault another process (or the transport) answered with. Texts of the transport stay in `cause`. */
export const faultOf = (error: StatusObject, path: string): AppError => {
  const cause = new RemoteFault(path, error);
  const [bytes] = error.metadata.get(detailsKey);
  if (bytes instanceof Uint8Array) {
    try {
      const found = decodeRpcStatus(bytes);
      if (found.domain === domain && isCode(found.reason)) {
        return new AppError(found.reason, found.message, {
          cause,
          ...(found.retryAfterMs === undefined ? {} : { retryAfterMs: found.retryAfterMs }),
          meta: found.metadata,
          errors: found.errors,
        });
      }
    } catch {
      // Details nobody can read add nothing to the status itself.
    }
  }
  return new AppError(codeOf[error.code] ?? 'internal', undefined, { cause });
};
