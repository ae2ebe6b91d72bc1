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
   * when the queue is full or no place was free within `waitMs` (default: for ever), and the signal's reason when the
   * caller gives up waiting. Whoever has a place gives it back by exactly one `leave`, when the work has settled and
   * not earlier.
   */
  enter(signal?: AbortSignal, waitMs?: number): Promise<void> | undefined;
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

  const overloaded = (detail: string) => new AppError('overloaded', detail, { retryAfterMs });

  const enter = (signal?: AbortSignal, waitMs?: number): Promise<void> | undefined => {
    if (signal?.aborted) throw signal.reason;
    if (running < concurrency) {
      running += 1;
      return undefined;
    }
    if (waiters.size >= queue) throw overloaded(`Too many calls of ${name} at once`);
    return new Promise((resolve, reject) => {
      const leaveQueue = () => {
        waiters.delete(waiter);
        clearTimeout(timer);
        signal?.removeEventListener('abort', giveUp);
      };
      const giveUp = () => {
        leaveQueue();
        reject(signal?.reason);
      };
      const tooLong = () => {
        leaveQueue();
        reject(overloaded(`Too many calls of ${name} at once: none ended within ${waitMs} ms`));
      };
      const waiter: Waiter = {
        admit: () => {
          leaveQueue();
          resolve();
        },
      };
      const timer = waitMs === undefined ? undefined : setTimeout(tooLong, waitMs);
      waiters.add(waiter);
      signal?.addEventListener('abort', giveUp, { once: true });
    });
  };

  const leave = (): void => {
    const [next] = waiters;
    if (next) {
      // The place goes from hand to hand: nobody can slip in between.
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
