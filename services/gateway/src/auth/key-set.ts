import { AppError } from '@skein/contracts';
import type { Clock, Service } from '@skein/service-kit';
import type { Logger } from '@skein/telemetry';
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';

/** The keys auth signs with, kept here so that verifying needs no call. */
export interface KeySet extends Service {
  /** Key for a token's header (jose's shape). Rejects `unavailable` when no keys were ever loaded. */
  readonly keyFor: JWTVerifyGetKey;
  /** The set as auth published it. Rejects like `keyFor`. */
  json(): Promise<string>;
  /** Age of the newest good copy in milliseconds; undefined when there is none. */
  ageMs(): number | undefined;
}

/** What a key set is made of. */
export interface KeySetOptions {
  /** Asks auth for the JWKS as JSON. */
  readonly fetch: () => Promise<string>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Waits between attempts of the first load; stops early when the signal aborts. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** auth publishes a key 24 h before it signs with it, so ten minutes lose nothing. */
const freshMs = 10 * 60_000;
/** With auth away the old keys still count for a day. */
const staleMs = 24 * 3_600_000;
/** Unknown key ids are free to invent: they may not make us ask more often than this. */
const refetchMs = 30_000;

interface Loaded {
  readonly json: string;
  readonly keyFor: JWTVerifyGetKey;
  readonly atMs: number;
}

/**
 * A cache of the JWKS: fresh for 10 minutes, refetched for an unknown `kid` at most once per 30 s, and used for
 * 24 h while auth is away. `run` returns at once and loads in the background: auth may start after us.
 */
export const keySet = ({ fetch, clock, log, sleep }: KeySetOptions): KeySet => {
  let loaded: Loaded | undefined;
  let triedAtMs = Number.NEGATIVE_INFINITY;
  let loading: Promise<void> | undefined;
  const stopping = new AbortController();

  const load = async (): Promise<void> => {
    triedAtMs = clock.now();
    try {
      const json = await fetch();
      loaded = { json, keyFor: createLocalJWKSet(JSON.parse(json) as JSONWebKeySet), atMs: clock.now() };
    } catch (error) {
      log.warn({ err: error }, 'the signing keys could not be loaded');
    }
  };
  /** One load at a time; everybody who needs it waits for the same. */
  const reload = (): Promise<void> => {
    loading ??= load().finally(() => {
      loading = undefined;
    });
    return loading;
  };
  const mayAsk = (): boolean => clock.now() - triedAtMs >= refetchMs;

  const current = async (): Promise<Loaded> => {
    if (!loaded) await reload();
    else if (clock.now() - loaded.atMs >= freshMs && (loading || mayAsk())) await reload();
    if (!loaded || clock.now() - loaded.atMs > staleMs) {
      throw new AppError('unavailable', 'Tokens cannot be checked right now', { retryAfterMs: 1_000 });
    }
    return loaded;
  };

  return {
    id: 'key-set',
    keyFor: async (header, token) => {
      const set = await current();
      try {
        return await set.keyFor(header, token);
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey) || !(loading || mayAsk())) throw error;
        await reload();
        return (loaded ?? set).keyFor(header, token);
      }
    },
    json: async () => (await current()).json,
    ageMs: () => loaded && clock.now() - loaded.atMs,
    run: async () => {
      const firstLoad = async () => {
        for (let wait = 100; !loaded && !stopping.signal.aborted; wait = Math.min(wait * 2, 5_000)) {
          await reload();
          if (!loaded) await sleep(wait, stopping.signal);
        }
      };
      // Never rejects: `load` logs its own failures and `sleep` resolves when stopped.
      void firstLoad();
    },
    stop: async () => stopping.abort(),
  };
};
