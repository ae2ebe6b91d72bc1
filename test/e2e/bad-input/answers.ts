import { type Code, errorTable } from '@skein/contracts';

/** A problem as REST, SSE and poll answer, without its trace id. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: Code;
  readonly detail: string;
  readonly retryable: boolean;
  readonly retryAfterMs?: number;
  readonly errors?: readonly { readonly path: string; readonly message: string }[];
}

/** What goes with a fault beside its sentence. */
export type Extra = Pick<Problem, 'retryAfterMs' | 'errors'>;

/** A problem; `detail` is the title of the code unless said. */
export const problem = (
  status: number,
  code: Code,
  detail: string = errorTable[code].title,
  extra: Extra = {},
): Problem => ({
  type: `urn:skein:error:${code}`,
  title: errorTable[code].title,
  status,
  code,
  detail,
  retryable: errorTable[code].retryable,
  ...extra,
});

/** 400 with the wrong fields. */
export const wrong = (...errors: { path: string; message: string }[]): Problem =>
  problem(400, 'invalid_request', undefined, { errors });

/** An `error` frame of `/v1/connect`. */
export const errorFrame = (code: Code, message: string = errorTable[code].title, more: object = {}) => ({
  type: 'error',
  ...more,
  code,
  message,
  retryable: errorTable[code].retryable,
});

/** An `error` frame of `/ws/{user_id}`. */
export const classicError = (code: Code, message: string = errorTable[code].title) => ({
  type: 'error',
  error: { code, message },
});
