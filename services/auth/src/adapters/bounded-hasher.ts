import { AppError } from '@skein/contracts';
import type { PasswordHasher } from '../app/ports.ts';

/** Bounds of the pool. */
export interface HashingBounds {
  /** Hashes computed at once: each takes a core and its memory. */
  readonly concurrency: number;
  /** How many more may wait; further ones are `overloaded` at once. */
  readonly queue: number;
}

/** About how long a full queue takes to empty: what the refused are told to wait. */
const retryAfterMs = 1_000;

/** A hasher that never works on more than a few passwords at once, first come, first served. */
export const boundedHasher = (
  inner: PasswordHasher,
  { concurrency, queue }: HashingBounds,
): PasswordHasher => {
  let running = 0;
  const waiting: (() => void)[] = [];
  const bounded = async <T>(work: () => Promise<T>): Promise<T> => {
    if (running >= concurrency) {
      if (waiting.length >= queue) throw new AppError('overloaded', undefined, { retryAfterMs });
      // Who is called takes over the place of the one that calls: `running` stays.
      await new Promise<void>((start) => waiting.push(start));
    } else running += 1;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running -= 1;
    }
  };
  return {
    hash: (password) => bounded(() => inner.hash(password)),
    verify: (stored, password) => bounded(() => inner.verify(stored, password)),
    outdated: (stored) => inner.outdated(stored),
  };
};
