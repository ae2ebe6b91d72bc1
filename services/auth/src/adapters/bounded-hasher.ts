import { bulkhead } from '@skein/resilience';
import type { MetricRegistry } from '@skein/telemetry';
import type { PasswordHasher } from '../app/ports.ts';

/** Bounds of the pool. */
export interface HashingBounds {
  /** Hashes computed at once: each takes a core and its memory. */
  readonly concurrency: number;
  /** How many more may wait; further ones are `overloaded` at once. */
  readonly queue: number;
  readonly metrics: MetricRegistry;
}

/** A hasher with bounds: without them, asking for hashes would be a way to bring the service down. */
export const boundedHasher = (
  inner: PasswordHasher,
  { concurrency, queue, metrics }: HashingBounds,
): PasswordHasher => {
  const pool = bulkhead({ name: 'password hashing', concurrency, queue });
  metrics.gauge('skein_auth_hashes_waiting', 'Passwords that wait to be hashed', () => pool.waiting);
  return {
    hash: (password, signal) => pool.run(() => inner.hash(password), signal),
    verify: (stored, password, signal) => pool.run(() => inner.verify(stored, password), signal),
    outdated: (stored) => inner.outdated(stored),
  };
};
