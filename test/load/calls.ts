import type { Call } from './history.ts';
import { ErrorFrame } from './resuming-socket.ts';

/** An answer of the HTTP side that is not a success. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  constructor(status: number, body: string) {
    const problem = problemOf(body);
    super(`${status} ${problem.code ?? body.slice(0, 80)}`);
    this.retryable = problem.retryable ?? status >= 500;
    this.retryAfterMs = problem.retryAfterMs;
  }
}

interface Problem {
  readonly code?: string;
  readonly retryable?: boolean;
  readonly retryAfterMs?: number;
}

const problemOf = (body: string): Problem => {
  try {
    return JSON.parse(body) as Problem;
  } catch {
    // Somebody else's answer, such as a proxy's page.
    return {};
  }
};

/** One request of the public API. */
export interface RestRequest {
  readonly url: string;
  readonly method?: string;
  readonly token?: string;
  readonly body?: object;
  readonly idempotencyKey?: string;
}

/** The server answers within its own deadline of 10 s, or says that it cannot. */
const answerTimeoutMs = 15_000;

/** Sends a request once; resolves with the body. Refused for anything but a success. */
export const rest = async ({ url, method = 'GET', token, body, idempotencyKey }: RestRequest) => {
  const response = await fetch(url, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(answerTimeoutMs),
  });
  const text = await response.text();
  if (!response.ok) throw new Refused(response.status, text);
  return JSON.parse(text) as Record<string, unknown>;
};

const backoffMs = { first: 100, most: 2_000 };

const reasonOf = (error: unknown): string => {
  const { cause } = error as { readonly cause?: { readonly code?: string } };
  if (error instanceof ErrorFrame) return `error frame ${String(error.frame['code'])}`;
  return cause?.code ?? (error instanceof Error ? error.message : String(error));
};

/** How long until the next try; undefined: it would be in vain. */
const pauseAfter = (error: unknown, tries: number): number | undefined => {
  let wanted: unknown;
  if (error instanceof ErrorFrame) {
    if (error.frame['retryable'] !== true) return undefined;
    wanted = error.frame['retryAfterMs'];
  } else if (error instanceof Refused) {
    if (!error.retryable) return undefined;
    wanted = error.retryAfterMs;
  }
  const jitter = Math.random() * Math.min(backoffMs.most, backoffMs.first * 2 ** tries);
  return (typeof wanted === 'number' ? wanted : 0) + jitter;
};

/** A call with what it gave, if it was done. */
export interface Called<T> {
  readonly call: Call;
  readonly value: T | undefined;
}

/**
 * Does something until it is done, is refused for good, or `giveUpMs` have passed; the work must be safe to repeat.
 * Waits as the server says, and a little longer so that not everybody comes back together. Never rejects.
 */
export const called = async <T>(
  kind: string,
  giveUpMs: number,
  work: () => Promise<T>,
): Promise<Called<T>> => {
  const startedMs = Date.now();
  const failures: string[] = [];
  for (;;) {
    try {
      const value = await work();
      return { call: { kind, startedMs, endedMs: Date.now(), failures, done: true }, value };
    } catch (error) {
      failures.push(reasonOf(error));
      const waitMs = pauseAfter(error, failures.length);
      if (waitMs === undefined || Date.now() + waitMs > startedMs + giveUpMs)
        return { call: { kind, startedMs, endedMs: Date.now(), failures, done: false }, value: undefined };
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }
};
