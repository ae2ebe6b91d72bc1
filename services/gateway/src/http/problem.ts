import { AppError, type Code, errorTable } from '@skein/contracts';
import type { Response } from 'express';

/** An RFC 9457 problem as every error leaves the gateway. Facts a client acts on stand beside these members. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: Code;
  readonly detail: string;
  readonly retryable: boolean;
  readonly retryAfterMs?: number;
  readonly errors?: readonly { readonly path: string; readonly message: string }[];
  readonly traceId: string;
  readonly [fact: string]: unknown;
}

/** Facts that are numbers on our wire; everything in `AppError.meta` is text. */
const numericFacts = new Set(['head', 'floor', 'expectedSeq', 'offset', 'version']);

const facts = (meta: Readonly<Record<string, string>>): Record<string, string | number> =>
  Object.fromEntries(
    Object.entries(meta).map(([key, value]) => [key, numericFacts.has(key) ? Number(value) : value]),
  );

/** The problem for a fault. `type` is a name, not a page: `urn:skein:error:<code>`. */
export const problemOf = (error: AppError, traceId: string): Problem => {
  const row = errorTable[error.code];
  return {
    ...facts(error.meta),
    type: `urn:skein:error:${error.code}`,
    title: row.title,
    status: row.http,
    code: error.code,
    detail: error.detail,
    retryable: row.retryable,
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
    ...(error.errors.length === 0 ? {} : { errors: error.errors }),
    traceId,
  };
};

/** Seconds for `Retry-After`, at least 1: the header knows no fractions. */
export const retryAfterSeconds = (retryAfterMs: number): number =>
  Math.max(1, Math.ceil(retryAfterMs / 1_000));

/** Sends the problem; `classic` adds the `success: false` that classic clients look for. */
export const sendProblem = (
  res: Response,
  error: AppError,
  { traceId, classic }: { traceId: string; classic: boolean },
): void => {
  const problem = problemOf(error, traceId);
  if (problem.retryAfterMs !== undefined) {
    res.setHeader('Retry-After', String(retryAfterSeconds(problem.retryAfterMs)));
  }
  // RFC 9110: a 401 says how to sign in.
  if (problem.status === 401) res.setHeader('WWW-Authenticate', 'Bearer');
  res.status(problem.status);
  res.setHeader('Content-Type', 'application/problem+json');
  res.setHeader('Cache-Control', 'no-store');
  res.end(JSON.stringify(classic ? { success: false, ...problem } : problem));
};

/** A fault for something outside the limits that says when to come back. */
export const limited = (code: 'rate_limited' | 'too_many_connections', retryAfterMs: number): AppError =>
  new AppError(code, undefined, { retryAfterMs: Math.max(1, Math.ceil(retryAfterMs)) });
