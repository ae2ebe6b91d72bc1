import { Metadata, type ServiceError, type StatusObject, status } from '@grpc/grpc-js';
import { AppError, type Code, isCode, toAppError } from '@skein/contracts';
import { decodeRpcStatus, encodeRpcStatus } from './rpc-status.ts';

/** The only place where faults become gRPC statuses and back. */

const detailsKey = 'grpc-status-details-bin';
const domain = 'skein';

/** What another process answered, as the cause of the fault made of it: for logs, never sent on. */
export class RemoteFault extends Error {
  override readonly name = 'RemoteFault';
  readonly path: string;
  readonly status: number;
  constructor(path: string, error: ServiceError) {
    super(`${path} answered ${status[error.code]}: ${error.details}`);
    this.path = path;
    this.status = error.code;
  }
}

/** Whether the fault was already logged by the process it comes from. */
export const isRemote = (error: AppError): boolean => error.cause instanceof RemoteFault;

/** A thrown thing as the status that ends a call. */
export const statusOf = (thrown: unknown): Partial<StatusObject> & { code: number } => {
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
  return { code: error.row.grpc, details: error.detail, metadata };
};

/** What a bare status means when no details of ours come with it. */
const codeOf: Readonly<Partial<Record<number, Code>>> = {
  [status.CANCELLED]: 'cancelled',
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
export const faultOf = (error: ServiceError, path: string): AppError => {
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
