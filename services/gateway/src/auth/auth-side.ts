import { setTimeout as delay } from 'node:timers/promises';
import { rootContext } from '@skein/rpc';
import type { Clock, Service } from '@skein/service-kit';
import type { Logger } from '@skein/telemetry';
import type { Clients, TokenVerifier } from '../ports.ts';
import { type KeySet, keySet } from './key-set.ts';
import { revocations } from './revocations.ts';
import { tokenVerifier } from './token-verifier.ts';

/** What checking tokens needs. */
export interface AuthSideOptions {
  readonly auth: Clients['auth'];
  readonly issuer: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
}

/** Tokens are checked here; auth is asked for keys, for API tokens seen the first time, and for revocations. */
export interface AuthSide {
  readonly keys: KeySet;
  readonly verifier: TokenVerifier;
  readonly parts: readonly Service[];
}

/** The audience auth gives everything a person's client may call. */
const audience = 'skein';

/** Requests wait for these: better an early `unavailable` than a request that hangs. */
const callTimeoutMs = 2_000;

/** Resolves after `ms`, or at once when the signal aborts. */
const sleep = async (ms: number, signal: AbortSignal): Promise<void> => {
  // The only rejection is the abort, and then nobody waits any more.
  await delay(ms, undefined, { signal }).catch(() => {});
};

/** Joins keys, revocations and the verifier over auth's client. */
export const authSide = ({ auth, issuer, clock, random, log }: AuthSideOptions): AuthSide => {
  const ctx = () => rootContext({ timeoutMs: callTimeoutMs });
  const keys = keySet({
    fetch: async () => (await auth.getJwks({}, ctx())).jwksJson,
    clock,
    log,
    sleep,
  });
  const revoked = revocations({
    watch: (signal) =>
      auth.watchRevocations({}, rootContext({ timeoutMs: Number.POSITIVE_INFINITY, signal })),
    clock,
    log,
    sleep,
    random,
  });
  const verifier = tokenVerifier({
    keyFor: keys.keyFor,
    revocations: revoked,
    issuer,
    audience,
    clock,
    checkApiToken: async (tokenId) => {
      const request = { sessionIds: [], tokenIds: [tokenId] };
      const { revokedTokenIds } = await auth.checkSessions(request, ctx());
      return { revoked: revokedTokenIds.includes(tokenId) };
    },
  });
  return { keys, verifier, parts: [keys, revoked] };
};
