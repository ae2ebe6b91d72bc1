import type { Code } from '@skein/contracts';

/** How a credential is made. */
export type Credential =
  | 'none'
  | 'no token'
  | 'without algorithm'
  | 'symmetric'
  | 'by another key'
  | 'with its own key'
  | 'of an unknown key'
  | 'changed'
  | 'expired'
  | 'of another audience'
  | 'of another type'
  | 'logged out';

/** A credential that is refused everywhere in the same way. */
export interface CredentialCase {
  readonly what: string;
  readonly credential: Credential;
  readonly code: Code;
  readonly detail: string;
}

const invalid = { code: 'unauthenticated', detail: 'The token is not valid' } as const;

/** HTTP answers 401 with the code, sockets send it as an error and close with 4001. */
export const credentialCases: readonly CredentialCase[] = [
  { what: 'text that is no token', credential: 'no token', ...invalid },
  { what: '`alg: none` and no signature', credential: 'without algorithm', ...invalid },
  { what: 'HS256 with the public key as its secret', credential: 'symmetric', ...invalid },
  { what: 'the signature of another key under the right `kid`', credential: 'by another key', ...invalid },
  { what: 'a key of its own in the header (`jwk`)', credential: 'with its own key', ...invalid },
  { what: 'a `kid` nobody published', credential: 'of an unknown key', ...invalid },
  { what: 'another person put into a good token', credential: 'changed', ...invalid },
  { what: 'a good signature for another audience', credential: 'of another audience', ...invalid },
  { what: 'a good signature on another type of token', credential: 'of another type', ...invalid },
  {
    what: 'a good token that has expired',
    credential: 'expired',
    code: 'token_expired',
    detail: 'The token has expired; refresh it',
  },
  {
    what: 'a good token whose login was ended',
    credential: 'logged out',
    code: 'session_revoked',
    detail: 'This login was ended; sign in again',
  },
];
