import type { Clock } from '@skein/service-kit';
import { createApiToken, listApiTokens, revokeApiToken } from './api-tokens.ts';
import { checkSessions } from './check-sessions.ts';
import { closeAccount, confirmPerson } from './close-account.ts';
import type { DummyHash } from './dummy-hash.ts';
import { logout, revokeDevice } from './end-sessions.ts';
import { getAccount } from './get-account.ts';
import type { Keyring } from './keyring.ts';
import { listSessions } from './list-sessions.ts';
import { login } from './login.ts';
import type { Limiter, PasswordHasher, Secrets, Store } from './ports.ts';
import { refresh } from './refresh.ts';
import { register } from './register.ts';
import { createTicket, redeemTicket } from './tickets.ts';
import { type TokenOptions, tokenPairs } from './token-pair.ts';
import { watchRevocations } from './watch-revocations.ts';

/** Everything the use cases need; each says for itself what of it. */
export interface AuthDeps extends TokenOptions {
  readonly store: Store;
  readonly secrets: Secrets;
  readonly keyring: Keyring;
  readonly hasher: PasswordHasher;
  readonly dummyHash: DummyHash;
  readonly limiter: Limiter;
  readonly clock: Clock;
  readonly newId: () => string;
  /** Tells watchers in this process that a login or a token has ended. */
  readonly revoked: () => void;
  /** Resolves when that happens, else after the pause between two looks. */
  readonly heard: (signal: AbortSignal) => Promise<void>;
  /** Told of every login that ended because a refresh token came twice. */
  readonly reused: (login: { userId: string; sessionId: string; deviceId: string }) => void;
}

/** The use cases of the service. */
export const authApp = (given: AuthDeps) => {
  const { keyring, secrets } = given;
  const deps = { ...given, signer: keyring, tokenPair: tokenPairs(given, secrets, keyring) };
  return {
    register: register(deps),
    login: login(deps),
    refresh: refresh(deps),
    logout: logout(deps),
    jwks: keyring.jwks,
    createTicket: createTicket(deps),
    redeemTicket: redeemTicket(deps),
    createApiToken: createApiToken(deps),
    listApiTokens: listApiTokens(deps),
    revokeApiToken: revokeApiToken(deps),
    listSessions: listSessions(deps),
    revokeDevice: revokeDevice(deps),
    getAccount: getAccount(deps),
    confirmPerson: confirmPerson(deps),
    closeAccount: closeAccount(deps),
    checkSessions: checkSessions(deps),
    watchRevocations: watchRevocations(deps),
  };
};

/** The use cases of the service. */
export type AuthApp = ReturnType<typeof authApp>;
