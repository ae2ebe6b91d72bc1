import { AppError } from '@skein/contracts';
import type { Clock } from '@skein/service-kit';
import { normalisePassword } from '../domain/credentials.ts';
import type { Call, Limiter, LoginPrincipal, PasswordHasher, Store } from './ports.ts';

interface Deps {
  readonly store: Store;
  readonly hasher: PasswordHasher;
  readonly limiter: Limiter;
  readonly clock: Clock;
  /** Tells watchers in this process that a login has ended. */
  readonly revoked: () => void;
}

/** Who has signed in within this time is still at the keyboard. */
const freshMs = 10 * 60_000;

/**
 * Whether a person may do what cannot be taken back: the login is fresh, or the password is right. Attempts with a
 * password count like those to sign in.
 */
export const confirmPerson =
  ({ store, hasher, limiter, clock }: Deps) =>
  async ({ userId, sessionId }: LoginPrincipal, password: string, call: Call): Promise<void> => {
    const login = await store.transaction(({ sessions }) => sessions.lock(sessionId), call.signal);
    if (login?.userId !== userId || login.ended) throw new AppError('session_revoked');
    if (clock.now() - login.createdAtMs < freshMs) return;
    const account = await store.accounts.byId(userId);
    const credentials = account && (await store.accounts.byEmail(account.email));
    if (!credentials) throw new AppError('session_revoked');
    if (password === '') throw new AppError('reauthentication_required');
    const retryAfterMs = await limiter.take(`login:${credentials.email}`);
    if (retryAfterMs !== undefined) throw new AppError('rate_limited', undefined, { retryAfterMs });
    if (!(await hasher.verify(credentials.passwordHash, normalisePassword(password), call.signal)))
      throw new AppError('invalid_credentials');
  };

/** Closes an account and ends all its logins and API tokens in one transaction; `not_found` when there is none. */
export const closeAccount =
  ({ store, clock, revoked }: Deps) =>
  async (userId: string, call: Call): Promise<{ readonly email: string }> => {
    const nowMs = clock.now();
    const email = await store.transaction(async ({ accounts, sessions, apiTokens, revocations }) => {
      const address = await accounts.close(userId, nowMs);
      if (address === undefined) throw new AppError('not_found', 'There is no such account');
      const ended = await sessions.end({ userId, keep: 0 }, 'account_closed', nowMs);
      const tokens = await apiTokens.end({ userId, all: true }, nowMs);
      await revocations.append(
        [...ended.map((sessionId) => ({ sessionId })), ...tokens.map((tokenId) => ({ tokenId }))],
        nowMs,
      );
      return address;
    }, call.signal);
    revoked();
    return { email };
  };
