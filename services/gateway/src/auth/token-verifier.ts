import { AppError } from '@skein/contracts';
import type { Clock } from '@skein/service-kit';
import { errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import type { Principal, TokenVerifier } from '../ports.ts';
import type { Revocations } from './revocations.ts';

/** What a verifier is made of. */
export interface TokenVerifierOptions {
  readonly keyFor: JWTVerifyGetKey;
  readonly revocations: Revocations;
  readonly issuer: string;
  readonly audience: string;
  readonly clock: Clock;
  /** Asks auth whether an API token was revoked; the feed only reaches back one access-token lifetime. */
  readonly checkApiToken: (tokenId: string) => Promise<{ revoked: boolean }>;
}

/** Real tokens have about 600 bytes. */
const maxLength = 8_192;
const leewaySeconds = 30;
/** How long auth's word on an API token counts; the feed, which replays longer than this, brings the rest. */
const apiTokenTrustMs = 10 * 60_000;
const maxApiTokens = 10_000;

/** What every login may do; more only when the token itself says so. */
const loginScopes = ['session', 'messages:write', 'documents:read', 'documents:write'] as const;

const refused = (cause?: unknown) => new AppError('unauthenticated', 'The token is not valid', { cause });

const claimedScopes = (payload: JWTPayload): string[] => {
  const claim = payload['scope'] ?? payload['scopes'];
  if (typeof claim === 'string') return claim.split(' ').filter(Boolean);
  return Array.isArray(claim) ? claim.filter((one): one is string => typeof one === 'string') : [];
};

const principalOf = (payload: JWTPayload, typ: string | undefined): Principal => {
  const { sub, jti, exp, iat } = payload;
  const sid = payload['sid'];
  if (!sub || iat === undefined) throw refused();
  const scopes = claimedScopes(payload);
  // A refreshed token is as old as its login: that is what a revocation of everything goes by.
  const authTime = payload['auth_time'];
  const issuedAtMs = (typeof authTime === 'number' ? authTime : iat) * 1_000;
  if (typ === 'at+jwt' && typeof sid === 'string' && exp !== undefined) {
    return {
      userId: sub,
      sessionId: sid,
      scopes: [...new Set([...loginScopes, ...scopes])],
      expiresAtMs: exp * 1_000,
      issuedAtMs,
      kind: 'login',
    };
  }
  if (typ === 'api+jwt' && jti) {
    // Without `exp` the token lasts until it is revoked.
    const expiresAtMs = exp === undefined ? Number.POSITIVE_INFINITY : exp * 1_000;
    return { userId: sub, tokenId: jti, scopes, expiresAtMs, issuedAtMs, kind: 'api' };
  }
  throw refused();
};

const faultOf = (error: unknown): AppError => {
  if (error instanceof AppError) return error;
  if (error instanceof errors.JWTExpired) return new AppError('token_expired', undefined, { cause: error });
  return refused(error);
};

/**
 * Verifies by the published keys: EdDSA and ES256 only, whatever the header says; a `kid` of ours; type, issuer,
 * audience and times with 30 s of leeway. Keys that a header brings along (`jwk`, `jku`, `x5u`) are never looked at.
 */
export const tokenVerifier = (options: TokenVerifierOptions): TokenVerifier => {
  const { keyFor, revocations, issuer, audience, clock, checkApiToken } = options;
  const goodUntilMs = new Map<string, number>();

  const ensureApiToken = async (tokenId: string): Promise<void> => {
    if ((goodUntilMs.get(tokenId) ?? 0) > clock.now()) return;
    goodUntilMs.delete(tokenId);
    const { revoked } = await checkApiToken(tokenId);
    if (revoked) {
      revocations.addToken(tokenId);
      return;
    }
    const [oldest] = goodUntilMs.keys();
    if (goodUntilMs.size >= maxApiTokens && oldest !== undefined) goodUntilMs.delete(oldest);
    goodUntilMs.set(tokenId, clock.now() + apiTokenTrustMs);
  };

  return {
    verify: async (token) => {
      if (token.length > maxLength) throw refused();
      const { payload, protectedHeader } = await jwtVerify(
        token,
        async (header, raw) => {
          if (header.kid === undefined) throw refused();
          return keyFor(header, raw);
        },
        {
          algorithms: ['EdDSA', 'ES256'],
          issuer,
          audience,
          clockTolerance: leewaySeconds,
          currentDate: new Date(clock.now()),
        },
      ).catch((error: unknown) => {
        throw faultOf(error);
      });
      const principal = principalOf(payload, protectedHeader.typ);
      if (principal.tokenId !== undefined) await ensureApiToken(principal.tokenId);
      if (revocations.has(principal)) throw new AppError('session_revoked');
      return principal;
    },
    isRevoked: (principal) => revocations.has(principal),
    onRevoked: (listener) => revocations.onRevoked(listener),
  };
};
