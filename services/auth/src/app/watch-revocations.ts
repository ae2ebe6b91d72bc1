import type { Clock } from '@skein/service-kit';
import type { Revocation, Store } from './ports.ts';

/** Clocks of two machines may differ by this much. */
const leewayMs = 30_000;

/** A gateway believes an API token for 10 minutes before it asks again. */
const trustedMs = 15 * 60_000;

/** One read of the table. */
const batch = 500;

interface Deps {
  readonly store: Store;
  readonly clock: Clock;
  /** Resolves when something was revoked in this process, else after the pause between two looks. */
  readonly heard: (signal: AbortSignal) => Promise<void>;
  readonly accessTtlMs: number;
}

/**
 * Revocations in the order of their commits, until `signal` aborts: first those of the last 15 minutes (older ones
 * concern access tokens that have expired, and API tokens that are asked about again), then each within a second of its commit, on whichever replica.
 * The same one may come again after a reconnect. API tokens live longer: ask `checkSessions` about unknown ones.
 */
export const watchRevocations = ({ store, clock, heard, accessTtlMs }: Deps) =>
  async function* (signal: AbortSignal): AsyncGenerator<Revocation, void, undefined> {
    const sinceMs = clock.now() - Math.max(accessTtlMs, trustedMs) - leewayMs;
    let position = 0;
    while (!signal.aborted) {
      const found = await store.revocations.after(position, sinceMs, batch);
      for (const one of found) {
        position = one.position;
        yield one.revocation;
      }
      if (found.length < batch) await heard(signal);
    }
  };
