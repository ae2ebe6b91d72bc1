import { AppError } from '@skein/contracts';

/** The connection was lost between COMMIT and its answer: only reading back tells whether it was committed. */
export class CommitUnknown extends Error {
  override readonly name = 'CommitUnknown';
}

/** Whether a failed transaction may nevertheless have been committed. */
export const isCommitUnknown = (error: unknown): boolean =>
  error instanceof AppError && error.cause instanceof CommitUnknown;

/** The five-character SQLSTATE of an error, found through causes; undefined when the server did not name one. */
export const sqlState = (error: unknown): string | undefined => {
  if (!(error instanceof Error)) return undefined;
  if (error.cause !== undefined) return sqlState(error.cause);
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
};

/** Whether a unique or primary key refused the row; with `constraint`, whether that one did. */
export const isUniqueViolation = (error: unknown, constraint?: string): boolean =>
  sqlState(error) === '23505' &&
  (constraint === undefined || (error as { constraint?: unknown }).constraint === constraint);

/** Network codes and driver sentences that mean: there is no usable connection. */
const lostCodes = new Set(
  'ECONNREFUSED ECONNRESET ECONNABORTED EPIPE ENOENT ETIMEDOUT EHOSTUNREACH ENETUNREACH ENOTFOUND EAI_AGAIN EACCES'.split(
    ' ',
  ),
);
const lostSentences = /^(Connection terminated|Client has encountered|Client was closed|timeout expired|Cannot use a pool)/;

/** Whether the connection is gone, or could not be made for now. */
export const isConnectionLoss = (error: unknown): boolean => {
  if (!(error instanceof Error)) return false;
  const code = (error as { code?: unknown }).code;
  if (typeof code === 'string') return lostCodes.has(code) || code.startsWith('08') || /^57P0[1235]$/.test(code);
  if (error instanceof AggregateError) return error.errors.some(isConnectionLoss);
  return lostSentences.test(error.message);
};

/** The fault that stands for an aborted signal. */
export const abortFault = (signal: AbortSignal): AppError => {
  const { reason } = signal;
  if (reason instanceof AppError) return reason;
  const late = reason instanceof Error && reason.name === 'TimeoutError';
  return new AppError(late ? 'deadline_exceeded' : 'cancelled', undefined, { cause: reason });
};

/** An error of the driver as the fault a caller can act on; errors of the statement itself are returned as they are. */
export const toFault = (error: unknown, signal?: AbortSignal): unknown => {
  if (error instanceof AppError) return error;
  const code = sqlState(error);
  if (code === '57014') {
    if (signal?.aborted) return abortFault(signal);
    return new AppError('deadline_exceeded', 'The database took too long', { cause: error });
  }
  if (code === '25P03' || code === '25P04')
    return new AppError('deadline_exceeded', 'The transaction took too long', { cause: error });
  if (code === '40001' || code === '40P01') return new AppError('conflict', undefined, { cause: error });
  if (error instanceof Error && error.message === 'timeout exceeded when trying to connect')
    return new AppError('overloaded', 'All database connections are busy', { cause: error });
  if (code === '53300') return new AppError('overloaded', 'The database has no connection left', { cause: error });
  if (isConnectionLoss(error)) {
    if (signal?.aborted) return abortFault(signal);
    return new AppError('unavailable', 'The database is away', { cause: error });
  }
  return error;
};
