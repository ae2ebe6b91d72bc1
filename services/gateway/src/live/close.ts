import type { AppError } from '@skein/contracts';

/** Why a socket is closed: the codes of the public table. */
export const closeCodes = {
  protocolError: 4000,
  signInAgain: 4001,
  notAllowed: 4003,
  tooLate: 4008,
  frameTooBig: 4009,
  replaced: 4010,
  tooSlow: 4011,
  leaving: 4012,
  unavailable: 4013,
  overLimit: 4029,
} as const;

/** When a client that may come back should: after a random time in between. */
export type RetryWindow = readonly [minMs: number, maxMs: number];

/** A close code with its reason. */
export interface Closing {
  readonly code: number;
  readonly retryAfterMs?: RetryWindow | undefined;
}

/** Every code after which a client may come back with the credentials it has. */
const retryWindows: Readonly<Record<number, RetryWindow>> = {
  [closeCodes.tooLate]: [500, 5_000],
  [closeCodes.frameTooBig]: [0, 1_000],
  [closeCodes.tooSlow]: [500, 5_000],
  [closeCodes.leaving]: [0, 5_000],
  [closeCodes.unavailable]: [500, 10_000],
  [closeCodes.overLimit]: [10_000, 30_000],
};

/** The closing for a code, with the usual time to wait. */
export const closing = (
  code: number,
  retryAfterMs: RetryWindow | undefined = retryWindows[code],
): Closing => ({
  code,
  retryAfterMs,
});

/** The reason as JSON; empty when coming back has no time attached. Fits a close frame (123 bytes). */
export const reasonOf = ({ retryAfterMs }: Closing): string =>
  retryAfterMs ? JSON.stringify({ retryAfterMs }) : '';

/** How a fault in opening or keeping a connection closes it. A dependency that is away is never 4001. */
export const closingFor = (fault: AppError): Closing => {
  switch (fault.code) {
    case 'unauthenticated':
    case 'token_expired':
    case 'session_revoked':
    case 'ticket_invalid':
    case 'invalid_credentials':
      return closing(closeCodes.signInAgain);
    case 'forbidden':
    case 'not_found':
      return closing(closeCodes.notAllowed);
    case 'invalid_request':
    case 'malformed_json':
    case 'protocol_error':
    case 'unknown_type':
      return closing(closeCodes.protocolError);
    case 'too_large':
      return closing(closeCodes.frameTooBig);
    case 'rate_limited':
    case 'too_many_connections':
      return closing(closeCodes.overLimit);
    default:
      return closing(
        closeCodes.unavailable,
        fault.retryAfterMs === undefined
          ? retryWindows[closeCodes.unavailable]
          : [fault.retryAfterMs, fault.retryAfterMs * 2],
      );
  }
};
