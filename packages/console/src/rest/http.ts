import { Problem, readProblem } from './problem.ts';

/** What `fetch` does, so that tests bring their own. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** One request to the gateway. */
export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH';
  readonly path: string;
  readonly body?: unknown;
  readonly token?: string;
  /** Makes sending it again harmless. */
  readonly idempotencyKey?: string;
}

/** A request without an answer after this long is given up. */
export const requestTimeoutMs = 20_000;

/** Sends a request and gives its JSON (`undefined` for an empty answer). Rejects with `Problem`. */
export async function send(fetch: Fetch, call: Call): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(call.path, {
      method: call.method,
      headers: {
        accept: 'application/json',
        ...(call.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(call.token === undefined ? {} : { authorization: `Bearer ${call.token}` }),
        ...(call.idempotencyKey === undefined ? {} : { 'idempotency-key': call.idempotencyKey }),
      },
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
      signal: AbortSignal.timeout(requestTimeoutMs),
      cache: 'no-store',
    });
  } catch {
    throw new Problem('network', 0, 'The server did not answer', true);
  }
  if (!response.ok) throw await readProblem(response);
  if (response.status === 204) return undefined;
  try {
    return await response.json();
  } catch {
    throw new Problem('network', response.status, 'The answer was cut short', true);
  }
}
