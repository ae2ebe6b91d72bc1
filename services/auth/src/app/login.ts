import { AppError } from '@skein/contracts';
import type { Clock } from '@skein/service-kit';
import { isTooLong, normaliseEmail, normalisePassword, passwordLength } from '../domain/credentials.ts';
import { type Device, deviceFaults } from '../domain/login-place.ts';
import type { DummyHash } from './dummy-hash.ts';
import { openSession } from './open-session.ts';
import type { Call, Limiter, PasswordHasher, Secrets, Store } from './ports.ts';
import type { SignedIn, TokenPairs } from './token-pair.ts';

export interface LoginAttempt {
  readonly email: string;
  readonly password: string;
  readonly device: Device;
  readonly remoteAddress: string;
}

interface Deps {
  readonly store: Store;
  readonly hasher: PasswordHasher;
  readonly dummyHash: Pick<DummyHash, 'get'>;
  readonly limiter: Limiter;
  readonly secrets: Secrets;
  readonly tokenPair: TokenPairs;
  readonly clock: Clock;
  readonly newId: () => string;
}

/**
 * Signs in. An unknown address and a wrong password are the same `invalid_credentials` after the same work. Every
 * attempt counts against the account's limit, also for addresses without an account.
 */
export const login =
  ({ store, hasher, dummyHash, limiter, secrets, tokenPair, clock, newId }: Deps) =>
  async (
    { email: given, password: typed, device, remoteAddress }: LoginAttempt,
    call: Call,
  ): Promise<SignedIn> => {
    const email = normaliseEmail(given);
    const errors = deviceFaults(device);
    if (email === undefined) errors.push({ path: 'email', message: 'must be an e-mail address' });
    if (isTooLong(typed))
      errors.push({ path: 'password', message: `must have at most ${passwordLength.max} characters` });
    if (email === undefined || errors.length > 0)
      throw new AppError('invalid_request', undefined, { errors });

    const password = normalisePassword(typed);
    const retryAfterMs = await limiter.take(`login:${email}`);
    if (retryAfterMs !== undefined) throw new AppError('rate_limited', undefined, { retryAfterMs });

    const account = await store.accounts.byEmail(email);
    const matches = await hasher.verify(
      account?.passwordHash ?? (await dummyHash.get()),
      password,
      call.signal,
    );
    if (!account || !matches) throw new AppError('invalid_credentials');

    const rehashed = hasher.outdated(account.passwordHash)
      ? await hasher.hash(password, call.signal)
      : undefined;
    const nowMs = clock.now();
    const { session, refreshToken } = await store.transaction(async (repositories) => {
      if (rehashed !== undefined) await repositories.accounts.replaceHash(account, rehashed);
      return openSession(
        repositories,
        { newId, secrets },
        { userId: account.id, device, remoteAddress, nowMs, registering: false },
        call,
      );
    }, call.signal);
    return tokenPair(account, session, refreshToken, { atMs: nowMs });
  };
