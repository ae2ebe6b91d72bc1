import { fields, list, num, str } from '@skein/sync-client';

/** One wrong field of a request. */
export interface FieldProblem {
  readonly path: string;
  readonly message: string;
}

/**
 * A refused request: RFC 9457 as the gateway sends it, or `network` when nobody answered. `code` is for
 * programs; `detail` is the server's sentence, used where the catalogue has none of its own.
 */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly code: string;
  readonly status: number;
  readonly detail: string;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  readonly errors: readonly FieldProblem[];

  constructor(
    code: string,
    status: number,
    detail: string,
    retryable: boolean,
    more: { retryAfterMs?: number; errors?: readonly FieldProblem[] } = {},
  ) {
    super(`${code}: ${detail}`);
    this.code = code;
    this.status = status;
    this.detail = detail;
    this.retryable = retryable;
    this.retryAfterMs = more.retryAfterMs;
    this.errors = more.errors ?? [];
  }
}

/** Reads a refusal. A body that is not a problem (a proxy's page) still becomes one, by its status. */
export async function readProblem(response: Response): Promise<Problem> {
  let body = fields(undefined);
  try {
    body = fields(await response.json());
  } catch {
    // Not JSON: the status alone has to do.
  }
  const busy = response.status === 429 || response.status >= 502;
  const retryAfterMs = num(body['retryAfterMs']);
  return new Problem(
    str(body['code']) || (busy ? 'unavailable' : 'internal'),
    response.status,
    str(body['detail']) || str(body['title']) || response.statusText,
    typeof body['retryable'] === 'boolean' ? body['retryable'] : busy,
    {
      ...(retryAfterMs > 0 ? { retryAfterMs } : {}),
      errors: list(body['errors']).map((e) => ({
        path: str(fields(e)['path']),
        message: str(fields(e)['message']),
      })),
    },
  );
}
