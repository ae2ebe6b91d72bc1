import { AppError, type authV1 } from '@skein/contracts';
import { type RpcClient, rootContext } from '@skein/rpc';
import type { Clock } from '@skein/service-kit';
import type { Principal, TokenVerifier } from '../ports.ts';

/** What opens a connection: exactly one of the two. */
export interface Credentials {
  readonly token?: string | undefined;
  readonly ticket?: string | undefined;
}

/** Whom the credentials speak for. */
export type SignIn = (credentials: Credentials, signal?: AbortSignal) => Promise<Principal>;

/** What every login may do; a ticket of a login says no more than which login it is. */
const loginScopes = ['session', 'messages:write', 'documents:read', 'documents:write'];

/**
 * Signs connections in: tokens by the verifier, tickets by auth, which takes each only once. AppError
 * `unauthenticated`, `token_expired`, `session_revoked`, `ticket_invalid`; `forbidden` without the scope
 * `session`; `unavailable` when nobody can tell.
 */
export const signIn =
  (
    verifier: TokenVerifier,
    auth: RpcClient<authV1.AuthServiceService>,
    clock: Clock,
    callTimeoutMs: number,
  ): SignIn =>
  async ({ token, ticket }, signal) => {
    const principal =
      token === undefined
        ? await redeem(ticket, auth, clock, callTimeoutMs, signal)
        : await verifier.verify(token);
    if (verifier.isRevoked(principal)) throw new AppError('session_revoked');
    if (!principal.scopes.includes('session'))
      throw new AppError('forbidden', 'The token lacks the scope session');
    return principal;
  };

const redeem = async (
  ticket: string | undefined,
  auth: RpcClient<authV1.AuthServiceService>,
  clock: Clock,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<Principal> => {
  if (ticket === undefined || ticket === '') throw new AppError('unauthenticated');
  const answer = await auth.redeemTicket({ ticket }, rootContext({ timeoutMs, signal }));
  const { principal } = answer;
  if (!principal) throw new AppError('ticket_invalid');
  const login = principal.sessionId !== '';
  return {
    userId: principal.userId,
    ...(login ? { sessionId: principal.sessionId } : {}),
    ...(principal.tokenId === '' ? {} : { tokenId: principal.tokenId }),
    scopes: login ? [...new Set([...loginScopes, ...principal.scopes])] : principal.scopes,
    expiresAtMs: principal.expiresAtMs === 0 ? Number.POSITIVE_INFINITY : principal.expiresAtMs,
    issuedAtMs: clock.now(),
    kind: login ? 'login' : 'api',
  };
};

/** `authExpiresAt` for the wire: JSON has no infinity, so tokens without an end last until the year 9999. */
export const expiryOf = (principal: Principal): number =>
  Math.min(principal.expiresAtMs, 253_402_300_799_000);
