import { loginScopes } from '../domain/scopes.ts';
import type { Account, Secrets, Session, TokenSigner } from './ports.ts';

/** What a client gets when it signs in or refreshes. */
export interface SignedIn {
  readonly account: Account;
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly expiresInS: number;
}

/** Who issues tokens, to whom else they are addressed, and how long they last. */
export interface TokenOptions {
  readonly issuer: string;
  readonly accessTtlMs: number;
  /** The account that runs the place; empty for none. */
  readonly operatorEmail: string;
}

/** The audience of everything a person's client may call. */
export const audience = 'skein';

/**
 * Makes the access token that goes with a refresh token. All of it follows from the arguments (the signature
 * too), so a repeated request gets the same text.
 */
export const tokenPairs =
  ({ issuer, accessTtlMs, operatorEmail }: TokenOptions, secrets: Secrets, signer: TokenSigner) =>
  async (
    account: Account,
    session: Pick<Session, 'id' | 'createdAtMs'>,
    refreshToken: string,
    issued: { atMs: number; kid?: string | undefined; nowMs?: number },
  ): Promise<SignedIn> => {
    const iat = Math.floor(issued.atMs / 1000);
    const exp = iat + Math.floor(accessTtlMs / 1000);
    const claims = {
      iss: issuer,
      aud: audience,
      sub: account.id,
      sid: session.id,
      jti: secrets.accessTokenId(refreshToken),
      scope: loginScopes(account.email, operatorEmail).join(' '),
      auth_time: Math.floor(session.createdAtMs / 1000),
      iat,
      nbf: iat,
      exp,
    };
    return {
      account: {
        id: account.id,
        email: account.email,
        displayName: account.displayName,
        createdAtMs: account.createdAtMs,
      },
      accessToken: await signer.sign('at+jwt', claims, issued.kid),
      refreshToken,
      expiresInS: exp - Math.floor((issued.nowMs ?? issued.atMs) / 1000),
    };
  };

/** Makes token pairs. */
export type TokenPairs = ReturnType<typeof tokenPairs>;
