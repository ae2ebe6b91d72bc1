import { AppError } from '@skein/contracts';

/** Why a call never left this process: there was no connection in time. The `cause` of an `unavailable`. */
export class NoConnection extends Error {
  override readonly name = 'NoConnection';
  constructor(path: string) {
    super(`${path}: no instance could be reached in time`);
  }
}

/** The fault of a call that found nobody to talk to. */
export const noConnection = (path: string): AppError =>
  new AppError('unavailable', undefined, { cause: new NoConnection(path), retryAfterMs: 1_000 });
