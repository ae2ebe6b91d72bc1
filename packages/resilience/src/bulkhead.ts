import { AppError } from '@skein/contracts';

/** The bounds of a bulkhead. */
export interface BulkheadOptions {
  /** Names what is protected, in the fault's detail. */
  readonly name: string;
  /** Pieces of work that may run at once. */
  readonly concurrency: number;
  /** Pieces of work that may wait; one more is refused with `overloaded`. */
  readonly queue: number;
  /** When a refused caller may try again. Default 1 s. */
  readonly retryAfterMs?: number;
}

/** A bound on what runs at once and on what waits. */
export interface Bulkhead {
  /**
   * Takes a place: at once (undefined), or a promise for when one is free. Throws (or rejects with) `overloaded`
   * when the queue is full, and the signal's reason when the caller gives up waiting. Whoever has a place gives it
   * back by exactly one `leave`, when the work has settled and not earlier.
   */
  enter(signal?: AbortSignal): Promise<void> | undefined;
  leave(): void;
  /** Runs `work` in a place of its own. */
  run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T>;
  readonly running: number;
  readonly waiting: number;
}

interface Waiter {
  readonly admit: () => void;
}

/** A bulkhead; first come, first served. */
export const bulkhead = ({ name, concurrency, queue, retryAfterMs = 1_000 }: BulkheadOptions): Bulkhead => {
  let running = 0;
  const waiters = new Set<Waiter>();

  const enter = (signal?: AbortSignal): Promise<void> | undefined => {
    if (signal?.aborted) throw signal.reason;
    if (running < concurrency) {
      running += 1;
      return undefined;
    }
    if (waiters.size >= queue)
      throw new AppError('overloaded', `Too many calls of ${name} at once`, { retryAfterMs });
    return new Promise((resolve, reject) => {
      const leaveQueue = () => {
        waiters.delete(waiter);
        reject(signal?.reason);
      };
      const waiter: Waiter = {
        admit: () => {
          signal?.removeEventListener('abort', leaveQueue);
          resolve();
        },
      };
      waiters.add(waiter);
      signal?.addEventListener('abort', leaveQueue, { once: true });
    });
  };

  const leave = (): void => {
    const [next] = waiters;
    if (next) {
      // The place goes from hand to hand: nobody can slip in between.
      waiters.delete(next);
      next.admit();
    } else {
      running -= 1;
    }
  };

  return {
    enter,
    leave,
    run: async (work, signal) => {
      await enter(signal);
      try {
        return await work();
      } finally {
        leave();
      }
    },
    get running() {
      return running;
    },
    get waiting() {
      return waiters.size;
    },
  };
};
