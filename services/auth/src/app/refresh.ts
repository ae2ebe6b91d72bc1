import { AppError } from '@skein/contracts';
import { type Clock, must } from '@skein/service-kit';
import { decideRefresh, idleExpiry, type RefreshDecision } from '../domain/refresh-family.ts';
import type { Account, Call, Secrets, Session, Store, TokenSigner } from './ports.ts';
import type { SignedIn, TokenPairs } from './token-pair.ts';

interface Deps {
  readonly store: Store;
  readonly secrets: Secrets;
  readonly signer: TokenSigner;
  readonly tokenPair: TokenPairs;
  readonly clock: Clock;
  /** Tells watchers in this process that a login has ended. */
  readonly revoked: () => void;
  /** Told of every family that ended because a token came twice: a theft, or a client with a fault. */
  readonly reused: (login: { userId: string; sessionId: string; deviceId: string }) => void;
}

interface Granted {
  readonly account: Account;
  readonly session: Session;
  readonly child: string;
  readonly atMs: number;
  readonly kid: string;
}

/** The family that this very request has ended. */
interface Ended {
  readonly ended: Session;
}

type Refused = Exclude<RefreshDecision, 'rotate' | 'repeat' | 'reuse'> | 'unknown';

const refusals: Readonly<Record<Refused, () => AppError>> = {
  unknown: () => new AppError('unauthenticated', 'This refresh token is not known; sign in again'),
  expired: () => new AppError('session_revoked', 'This login has expired; sign in again'),
  ended: () => new AppError('session_revoked'),
  ended_by_reuse: () => new AppError('refresh_reused'),
};

/**
 * Exchanges a refresh token for the next pair. The family is locked while this is decided, so of fifty requests
 * with one token one wins; the others end the family, the winner's child and the API tokens made by the login
 * included, in the transaction that finds out. A client that sends an idempotency key may repeat a lost request for a minute.
 */
export const refresh =
  ({ store, secrets, signer, tokenPair, clock, revoked, reused }: Deps) =>
  async (token: string, call: Call): Promise<SignedIn> => {
    const hash = secrets.hash(token);
    const { idempotencyKey } = call;
    const key = idempotencyKey === undefined ? undefined : secrets.fingerprint(idempotencyKey);

    const outcome = await store.transaction(async (repositories): Promise<Granted | Ended | Refused> => {
      const { accounts, sessions, refreshTokens, apiTokens, revocations } = repositories;
      const known = await refreshTokens.find(hash);
      const session = known && (await sessions.lock(known.sessionId));
      if (!session) return 'unknown';
      // Read again: what it was before the lock was ours says nothing.
      const row = must(await refreshTokens.find(hash), 'a refresh token outlived its locked family');
      const nowMs = clock.now();
      const decision = decideRefresh(session, row, key, nowMs);
      if (decision === 'reuse') {
        await sessions.end({ userId: session.userId, sessionId: session.id }, 'refresh_reused', nowMs);
        // Whoever else held the tokens may have made one to come back with.
        const made = await apiTokens.end({ userId: session.userId, madeBy: session.id }, nowMs);
        await revocations.append([{ sessionId: session.id }, ...made.map((tokenId) => ({ tokenId }))], nowMs);
        return { ended: session };
      }
      if (decision !== 'rotate' && decision !== 'repeat') return decision;

      const account = must(await accounts.byId(session.userId), 'a login outlived its account');
      if (decision === 'repeat')
        return {
          account,
          session,
          child: secrets.child(token, must(idempotencyKey, 'a repeat without a key')),
          atMs: must(row.usedAtMs, 'a repeat of a leaf'),
          kid: must(row.childKid, 'a used token without the key of its child'),
        };
      const child = secrets.child(token, idempotencyKey ?? secrets.newToken());
      const { kid } = signer;
      await refreshTokens.use(hash, { usedAtMs: nowMs, usedKey: key, childKid: kid });
      await refreshTokens.add(secrets.hash(child), session.id);
      await sessions.used(session.id, nowMs, idleExpiry(nowMs, session.expiresAtMs));
      return { account, session, child, atMs: nowMs, kid };
    }, call.signal);

    if (typeof outcome === 'string') throw refusals[outcome]();
    if ('ended' in outcome) {
      const { id: sessionId, userId, device } = outcome.ended;
      revoked();
      reused({ userId, sessionId, deviceId: device.id });
      throw new AppError('refresh_reused');
    }
    const { account, session, child, atMs, kid } = outcome;
    return tokenPair(account, session, child, { atMs, kid, nowMs: clock.now() });
  };
