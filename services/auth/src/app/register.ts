import { AppError, type FieldError } from '@skein/contracts';
import type { Clock } from '@skein/service-kit';
import {
  displayNameOf,
  maxDisplayName,
  normaliseEmail,
  normalisePassword,
  passwordFault,
} from '../domain/credentials.ts';
import { type Device, deviceFaults } from '../domain/login-place.ts';
import { openSession } from './open-session.ts';
import type { Account, Call, Credentials, Limiter, PasswordHasher, Secrets, Store } from './ports.ts';
import type { SignedIn, TokenPairs } from './token-pair.ts';

export interface Registration {
  readonly email: string;
  readonly password: string;
  /** Empty: the part of the address before the @. */
  readonly displayName: string;
  readonly device: Device;
  readonly remoteAddress: string;
}

interface Deps {
  readonly store: Store;
  readonly hasher: PasswordHasher;
  readonly limiter: Limiter;
  readonly secrets: Secrets;
  readonly tokenPair: TokenPairs;
  readonly clock: Clock;
  readonly newId: () => string;
}

/** How long a registration whose answer was lost may be sent again. */
const repeatWindowMs = 24 * 3_600_000;

const validated = ({ email: given, password, displayName: name, device }: Registration) => {
  const email = normaliseEmail(given);
  const displayName = displayNameOf(name, email ?? '');
  const weakness = passwordFault(password, email ?? '');
  const errors: FieldError[] = deviceFaults(device);
  if (email === undefined) errors.push({ path: 'email', message: 'must be an e-mail address' });
  if (weakness !== undefined) errors.push({ path: 'password', message: weakness });
  if (displayName === undefined)
    errors.push({ path: 'displayName', message: `must have at most ${maxDisplayName} printable characters` });
  if (email === undefined || displayName === undefined || errors.length > 0)
    throw new AppError('invalid_request', undefined, { errors });
  return { email, displayName, password: normalisePassword(password) };
};

/**
 * Makes an account and its first login. `email_taken` when the address has one, unless this is the same request
 * again (same idempotency key, address and password within a day): then it signs in to the account it made.
 */
export const register = ({ store, hasher, limiter, secrets, tokenPair, clock, newId }: Deps) => {
  /** Opens a login of an account, after making it when there are credentials; undefined when that is not possible. */
  const signIn = async (
    account: Account,
    { device, remoteAddress }: Registration,
    call: Call,
    nowMs: number,
    credentials?: Credentials,
  ): Promise<SignedIn | undefined> => {
    const registering = credentials !== undefined;
    const opened = await store.transaction(async (repositories) => {
      if (registering && !(await repositories.accounts.add(credentials))) return undefined;
      return openSession(
        repositories,
        { newId, secrets },
        { userId: account.id, device, remoteAddress, nowMs, registering },
        call,
      );
    }, call.signal);
    return opened && tokenPair(account, opened.session, opened.refreshToken, { atMs: nowMs });
  };

  return async (input: Registration, call: Call): Promise<SignedIn> => {
    const { email, displayName, password } = validated(input);
    const retryAfterMs = await limiter.take(`register:${email}`);
    if (retryAfterMs !== undefined) throw new AppError('rate_limited', undefined, { retryAfterMs });
    const { idempotencyKey } = call;
    const registrationKey = idempotencyKey === undefined ? undefined : secrets.fingerprint(idempotencyKey);
    const passwordHash = await hasher.hash(password, call.signal);
    const nowMs = clock.now();
    const account = { id: newId(), email, displayName, createdAtMs: nowMs };
    const made = await signIn(account, input, call, nowMs, { ...account, passwordHash, registrationKey });
    if (made) return made;

    const first = await store.accounts.byEmail(email);
    const repeated =
      first !== undefined &&
      registrationKey !== undefined &&
      first.registrationKey === registrationKey &&
      nowMs - first.createdAtMs < repeatWindowMs &&
      (await hasher.verify(first.passwordHash, password, call.signal));
    const again = repeated ? await signIn(first, input, call, clock.now()) : undefined;
    if (!again) throw new AppError('email_taken');
    return again;
  };
};
