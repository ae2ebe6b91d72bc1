import { AppError } from '@skein/contracts';
import pg from 'pg';

/** The connection was lost between COMMIT and its answer: only reading back tells whether it was committed. */
export class CommitUnknown extends Error {
  override readonly name = 'CommitUnknown';
}

/** Whether a failed transaction may nevertheless have been committed. */
export const isCommitUnknown = (error: unknown): boolean =>
  error instanceof AppError && error.cause instanceof CommitUnknown;

const serverError = (error: unknown): pg.DatabaseError | undefined => {
  for (let e = error; e instanceof Error; e = e.cause) if (e instanceof pg.DatabaseError) return e;
  return undefined;
};

/** The SQLSTATE of an error, looked for through its causes; undefined when the server sent none. */
export const sqlState = (error: unknown): string | undefined => serverError(error)?.code;

/** Whether a unique or primary key refused the row; with `constraint`, whether that one did. */
export const isUniqueViolation = (error: unknown, constraint?: string): boolean => {
  const found = serverError(error);
  return found?.code === '23505' && (constraint === undefined || found.constraint === constraint);
};

/** Whether the transaction lost against another one and may simply run again. */
export const isSerializationFailure = (error: unknown): boolean => {
  const state = sqlState(error);
  return state === '40001' || state === '40P01';
};

// Shutdown, crash, not yet up, dropped by the pooler or the idle timeout.
const lostStates = /^(08...|57P0[1235])$/;
const lostCodes = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH'],
  // The socket file is missing or belongs to a server that was replaced; the name does not resolve yet.
  ...['ENOENT', 'ENOTFOUND', 'EAI_AGAIN'],
]);
/** What the driver says when `query_timeout` is over. */
const silence = 'Query read timeout';
// The driver throws plain errors for these.
const lostSentences =
  /^(Query read timeout|Connection terminated|Client has encountered a connection error|Client was closed|timeout expired|Cannot use a pool)/;

/** Whether the connection is gone, or cannot be made for now. */
export const isConnectionLoss = (error: unknown): boolean => {
  if (error instanceof AggregateError) return error.errors.some(isConnectionLoss);
  if (!(error instanceof Error)) return false;
  if (error instanceof pg.DatabaseError) return lostStates.test(error.code ?? '');
  const { code } = error as NodeJS.ErrnoException;
  return code === undefined ? lostSentences.test(error.message) : lostCodes.has(code);
};

/** Whether the server has not answered in time: what it would say next on this connection is anybody's guess. */
export const isSilence = (error: unknown): boolean => error instanceof Error && error.message === silence;

/** Whether the server has ended the session along with the statement. */
export const isFatal = (error: unknown): boolean => serverError(error)?.severity === 'FATAL';

/** The fault that stands for an aborted signal: its own when the reason is one, else late or cancelled. */
export const abortFault = ({ reason }: AbortSignal): AppError => {
  if (reason instanceof AppError) return reason;
  const late = reason instanceof Error && reason.name === 'TimeoutError';
  return new AppError(late ? 'deadline_exceeded' : 'cancelled', undefined, { cause: reason });
};

/** The driver's error as a fault a caller can act on; an error of the statement itself comes back as it is. */
export const toFault = (error: unknown, signal?: AbortSignal): unknown => {
  if (error instanceof AppError) return error;
  const state = sqlState(error);
  if (signal?.aborted && (state === '57014' || isConnectionLoss(error))) return abortFault(signal);
  const fault = (code: ConstructorParameters<typeof AppError>[0], detail?: string) =>
    new AppError(code, detail, { cause: error });
  if (state === '57014') return fault('deadline_exceeded', 'The database took too long');
  if (state === '25P03' || state === '25P04')
    return fault('deadline_exceeded', 'The transaction took too long');
  if (state === '40001' || state === '40P01') return fault('conflict');
  if (state === '53300') return fault('overloaded', 'The database has no connection left');
  if (isConnectionLoss(error)) return fault('unavailable', 'The database is away');
  return error;
};
