import { AppError, toAppError } from '@skein/contracts';
import type { Logger } from '@skein/telemetry';
import type { ErrorRequestHandler, RequestHandler } from 'express';
import { answerable, exchangeOf } from './exchange.ts';
import { sendProblem } from './problem.ts';

/** What no route answered. */
export const notFound: RequestHandler = () => {
  throw new AppError('not_found', 'There is nothing at this path');
};

/** Express' own faults (a path that is not valid percent-encoding, a file that is not there) carry a status. */
const faultOf = (thrown: unknown): AppError => {
  if (thrown instanceof URIError)
    return new AppError('invalid_request', 'The path is not valid', { cause: thrown });
  if (thrown instanceof Error && 'status' in thrown && typeof thrown.status === 'number') {
    if (thrown.status === 404) return new AppError('not_found', undefined, { cause: thrown });
    if (thrown.status < 500) return new AppError('invalid_request', undefined, { cause: thrown });
  }
  return toAppError(thrown);
};

/** The one place where a fault becomes an answer; ours are logged once, with their cause. */
export const problems =
  (log: Logger): ErrorRequestHandler =>
  (thrown, req, res, _next) => {
    const error = faultOf(thrown);
    const { requestId, traceId, classic } = exchangeOf(req);
    // A part that is away, or a probe before we are ready, is news but no bug of ours.
    if (error.code === 'internal') log.error({ err: error, requestId }, 'request failed');
    else if (error.row.http >= 503) log.warn({ err: error, requestId }, 'request failed');
    if (answerable(res)) sendProblem(res, error, { traceId, classic });
    else res.destroy();
  };
