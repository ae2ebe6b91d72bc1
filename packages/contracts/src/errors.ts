/**
 * The closed table of faults. A fault is something a caller can act on; each row says how it looks on every
 * wire we speak. Codes are stable: a retired one is never used again with another meaning.
 */

/** gRPC status numbers (https://grpc.io/docs/guides/status-codes/), the ones we use. */
export const grpcStatus = {
  cancelled: 1,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

/** How one fault looks on the wires. `retryable` tells a client that the same request may succeed later. */
export interface ErrorRow {
  readonly http: number;
  readonly grpc: number;
  readonly retryable: boolean;
  readonly title: string;
}

const row = (http: number, grpc: number, retryable: boolean, title: string): ErrorRow => ({
  http,
  grpc,
  retryable,
  title,
});

const s = grpcStatus;

/** Every fault this product can answer with. */
export const errorTable = {
  invalid_request: row(400, s.invalidArgument, false, 'The request is not valid'),
  malformed_json: row(400, s.invalidArgument, false, 'The body is not valid JSON'),
  unknown_type: row(400, s.unimplemented, false, 'This type of frame is not known'),
  protocol_error: row(400, s.failedPrecondition, false, 'The frame is not allowed here'),
  unauthenticated: row(401, s.unauthenticated, false, 'Sign in first'),
  token_expired: row(401, s.unauthenticated, false, 'The token has expired; refresh it'),
  invalid_credentials: row(401, s.unauthenticated, false, 'The address or the password is wrong'),
  refresh_reused: row(401, s.unauthenticated, false, 'This refresh token was used before; sign in again'),
  session_revoked: row(401, s.unauthenticated, false, 'This login was ended; sign in again'),
  ticket_invalid: row(401, s.unauthenticated, false, 'The ticket is unknown, used or expired'),
  forbidden: row(403, s.permissionDenied, false, 'Not allowed'),
  reauthentication_required: row(
    403,
    s.permissionDenied,
    false,
    'This needs a fresh login: sign in again, or give the password',
  ),
  origin_not_allowed: row(403, s.permissionDenied, false, 'This origin is not on the allowlist'),
  not_found: row(404, s.notFound, false, 'Not found'),
  method_not_allowed: row(405, s.unimplemented, false, 'This method is not allowed here'),
  email_taken: row(409, s.alreadyExists, false, 'This address is taken'),
  identity_taken: row(409, s.alreadyExists, false, 'This account or this platform is linked already'),
  conflict: row(409, s.aborted, true, 'Somebody else changed it at the same time'),
  expected_seq: row(409, s.failedPrecondition, false, 'The sequence number is ahead of the one expected'),
  seq_reused: row(409, s.failedPrecondition, false, 'This sequence number was used with other content'),
  saga_state: row(409, s.failedPrecondition, false, 'The saga is not in a state for this'),
  step_undone: row(409, s.failedPrecondition, false, 'This step was taken back before it came'),
  superseded: row(409, s.failedPrecondition, false, 'It was changed since'),
  turn_ended: row(409, s.failedPrecondition, false, 'The turn has ended'),
  position_lost: row(410, s.outOfRange, false, 'This position is not in the log'),
  too_large: row(413, s.resourceExhausted, false, 'Too large'),
  unsupported_media_type: row(415, s.invalidArgument, false, 'This content type is not supported'),
  idempotency_mismatch: row(
    422,
    s.invalidArgument,
    false,
    'This idempotency key was used with another request',
  ),
  rate_limited: row(429, s.resourceExhausted, true, 'Too many requests'),
  too_many_connections: row(429, s.resourceExhausted, true, 'Too many connections'),
  cancelled: row(499, s.cancelled, false, 'The caller went away'),
  internal: row(500, s.internal, false, 'Something went wrong on our side'),
  not_implemented: row(501, s.unimplemented, false, 'Not available here'),
  unavailable: row(503, s.unavailable, true, 'A part of the service is away; try again'),
  overloaded: row(503, s.resourceExhausted, true, 'Too busy; try again'),
  deadline_exceeded: row(504, s.deadlineExceeded, true, 'It took too long'),
} as const satisfies Record<string, ErrorRow>;

/** A code of the table. */
export type Code = keyof typeof errorTable;

/** What may go with a fault. */
export interface AppErrorOptions {
  /** What led to it; kept for the log, never sent. */
  readonly cause?: unknown;
  /** When the client may try again, in milliseconds. */
  readonly retryAfterMs?: number;
  /** Facts a client acts on, such as `expectedSeq`; sent as they are, so ids and numbers only. */
  readonly meta?: Readonly<Record<string, string>>;
  /** Which fields were wrong and why. */
  readonly errors?: readonly FieldError[];
}

/** One wrong field of a request. */
export interface FieldError {
  /** Path of the field, such as `device.id`. */
  readonly path: string;
  readonly message: string;
}

/** A fault with a code of the table. `detail` is shown to the caller: it never holds secrets or internals. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: Code;
  readonly detail: string;
  readonly retryAfterMs: number | undefined;
  readonly meta: Readonly<Record<string, string>>;
  readonly errors: readonly FieldError[];

  constructor(code: Code, detail: string = errorTable[code].title, options: AppErrorOptions = {}) {
    super(`[${code}] ${detail}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.detail = detail;
    this.retryAfterMs = options.retryAfterMs;
    this.meta = options.meta ?? {};
    this.errors = options.errors ?? [];
  }

  /** The row of the table for this fault. */
  get row(): ErrorRow {
    return errorTable[this.code];
  }
}

/** Whether the text is a code of the table. */
export const isCode = (text: string): text is Code => Object.hasOwn(errorTable, text);

/** Any thrown thing as a fault: ours stays, the rest becomes `internal` with its cause kept. */
export const toAppError = (thrown: unknown): AppError =>
  thrown instanceof AppError ? thrown : new AppError('internal', undefined, { cause: thrown });
