import type { authV1 } from '@skein/contracts';
import { fullJitter } from '@skein/resilience';
import type { Clock, Service } from '@skein/service-kit';
import type { Logger } from '@skein/telemetry';
import type { Principal } from '../ports.ts';

/** Says whom one revocation concerns. */
export type Match = (principal: Principal) => boolean;

/** Everything that was ended before its tokens ran out. */
export interface Revocations extends Service {
  has(principal: Principal): boolean;
  /** Notes an API token that auth says is revoked. */
  addToken(tokenId: string): void;
  onRevoked(listener: (match: Match) => void): () => void;
}

/** What revocations are made of. */
export interface RevocationsOptions {
  /** Opens auth's feed; it starts with what the last access-token lifetime brought. */
  readonly watch: (signal: AbortSignal) => AsyncIterable<authV1.WatchRevocationsResponse>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly random: () => number;
}

/** Longer than an access token lives, with leeway: afterwards its own `exp` refuses it. */
const keptMs = 20 * 60_000;
/** About 10 MB. Beyond it the oldest go first: they are the ones whose tokens end first. */
const maxKept = 100_000;

/** Id → value, forgotten after `keptMs`; a Map keeps the order of arrival, so the oldest stand in front. */
const expiring = <V>(clock: Clock) => {
  const entries = new Map<string, { value: V; untilMs: number }>();
  return {
    set: (key: string, value: V) => {
      entries.delete(key);
      entries.set(key, { value, untilMs: clock.now() + keptMs });
      for (const [oldest, entry] of entries) {
        if (entries.size <= maxKept && entry.untilMs > clock.now()) break;
        entries.delete(oldest);
      }
    },
    get: (key: string | undefined): V | undefined => {
      const entry = key === undefined ? undefined : entries.get(key);
      return entry && entry.untilMs > clock.now() ? entry.value : undefined;
    },
  };
};

/**
 * Follows auth's revocations. A broken feed is reopened with backoff and replays, so nothing is missed; while it
 * is away tokens still end by themselves within their lifetime.
 */
export const revocations = ({ watch, clock, log, sleep, random }: RevocationsOptions): Revocations => {
  const sessions = expiring<true>(clock);
  const tokens = expiring<true>(clock);
  const people = expiring<number>(clock);
  const listeners = new Set<(match: Match) => void>();
  const stopping = new AbortController();

  const apply = (told: authV1.WatchRevocationsResponse): void => {
    if (told.sessionId) sessions.set(told.sessionId, true);
    if (told.tokenId) tokens.set(told.tokenId, true);
    if (told.userId) people.set(told.userId, Math.max(told.beforeMs, people.get(told.userId) ?? 0));
    const match: Match = (principal) =>
      (told.sessionId !== '' && told.sessionId === principal.sessionId) ||
      (told.tokenId !== '' && told.tokenId === principal.tokenId) ||
      (told.userId === principal.userId && madeBefore(principal, told.beforeMs));
    for (const listener of listeners) listener(match);
  };

  const follow = async (): Promise<void> => {
    let failures = 0;
    while (!stopping.signal.aborted) {
      try {
        for await (const told of watch(stopping.signal)) {
          failures = 0;
          apply(told);
        }
        // Streams end by themselves at a certain age: that is no failure.
        failures = 0;
      } catch (error) {
        if (stopping.signal.aborted) return;
        log.warn({ err: error }, 'the feed of revocations broke');
      }
      // All gateways lose auth at the same moment.
      failures += 1;
      await sleep(fullJitter({ baseMs: 100, capMs: 5_000 }, failures, random()), stopping.signal);
    }
  };

  return {
    id: 'revocations',
    has: (principal) => {
      const before = people.get(principal.userId);
      return (
        sessions.get(principal.sessionId) === true ||
        tokens.get(principal.tokenId) === true ||
        (before !== undefined && madeBefore(principal, before))
      );
    },
    addToken: (tokenId) => tokens.set(tokenId, true),
    onRevoked: (listener) => {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
    run: async () => {
      void follow();
    },
    stop: async () => stopping.abort(),
  };
};

/** A revocation of everything ends logins, not API tokens: those are revoked one by one. */
const madeBefore = (principal: Principal, beforeMs: number): boolean =>
  principal.kind === 'login' && principal.issuedAtMs < beforeMs;
