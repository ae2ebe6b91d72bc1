import { AppError } from '@skein/contracts';
import { abortFault } from './errors.ts';

/** What is batched and within which bounds. */
export interface GroupCommitOptions<Unit, Result> {
  /** Most units in one flush: bounds the size of a transaction. */
  readonly maxUnits: number;
  /** Most bytes in one flush, as `sizeOf` counts them; a single larger unit is flushed alone. Default: no bound. */
  readonly maxBytes?: number;
  /** Size of a unit in bytes; needed by `maxBytes`. */
  readonly sizeOf?: (unit: Unit) => number;
  /** Most units waiting for a flush; the next one is refused with `overloaded`. */
  readonly maxQueued: number;
  /** How many flushes may be under way at once. Default 1. */
  readonly concurrency?: number;
  /** The stream of a unit. */
  readonly keyOf: (unit: Unit) => string;
  /**
   * Commits the units, given in the order they were submitted, and returns a result for each in the same order.
   * Several units of one key may be in it. An `Error` in that place fails only this unit. A rejection fails all of them. While it is under way, the keys
   * in it are in no other flush: an unknown outcome is settled in here, before it returns.
   */
  readonly flush: (units: readonly Unit[]) => Promise<readonly (Result | Error)[]>;
}

/** A process-wide batcher. */
export interface GroupCommit<Unit, Result> {
  /**
   * Resolves with the unit's own result once the flush it was in has ended. Units of one key are flushed in the
   * order they were submitted. With a signal that aborts while the unit still waits, it is taken out (`cancelled`
   * or the signal's own fault); a unit in a flush is beyond recall. Errors: `overloaded`, `unavailable` after stop.
   */
  submit(unit: Unit, options?: { readonly signal?: AbortSignal | undefined }): Promise<Result>;
  /** Units waiting, and units in a flush. */
  readonly depth: { readonly queued: number; readonly flushing: number };
  /** Refuses new units and resolves when all accepted ones are settled. */
  stop(): Promise<void>;
}

interface Waiting<Unit, Result> {
  readonly unit: Unit;
  readonly key: string;
  readonly bytes: number;
  readonly settle: (outcome: Result | Error) => void;
}

/** A batcher over `flush`: while one flush is under way the next one gathers, so load makes batches, not waiting. */
export const groupCommit = <Unit, Result>(
  options: GroupCommitOptions<Unit, Result>,
): GroupCommit<Unit, Result> => {
  const { maxUnits, maxBytes = Number.POSITIVE_INFINITY, maxQueued, concurrency = 1, keyOf, flush } = options;
  const sizeOf = options.sizeOf ?? (() => 0);
  let queue: Waiting<Unit, Result>[] = [];
  const busyKeys = new Set<string>();
  let flushes = 0;
  let flushing = 0;
  let scheduled = false;
  let stopped = false;
  const whenIdle = Promise.withResolvers<void>();

  /** Takes the next batch out of the queue, leaving behind what must wait: a busy key, or what exceeds a bound. */
  const take = (): Waiting<Unit, Result>[] => {
    const batch: Waiting<Unit, Result>[] = [];
    let left: Waiting<Unit, Result>[] = [];
    let bytes = 0;
    for (const [index, waiting] of queue.entries()) {
      if (batch.length >= maxUnits || (batch.length > 0 && bytes + waiting.bytes > maxBytes)) {
        left = left.concat(queue.slice(index));
        break;
      }
      // A busy key is busy for the whole walk, so none of its units overtakes another.
      if (busyKeys.has(waiting.key)) {
        left.push(waiting);
      } else {
        bytes += waiting.bytes;
        batch.push(waiting);
      }
    }
    queue = left;
    return batch;
  };

  const outcomes = async (batch: readonly Waiting<Unit, Result>[]): Promise<readonly (Result | Error)[]> => {
    try {
      const results = await flush(batch.map(({ unit }) => unit));
      if (results.length === batch.length) return results;
      throw new Error(`bug: flush answered ${results.length} results for ${batch.length} units`);
    } catch (error) {
      const failure = error instanceof Error ? error : new Error('flush failed', { cause: error });
      return batch.map(() => failure);
    }
  };

  const runFlush = async (batch: readonly Waiting<Unit, Result>[]): Promise<void> => {
    for (const { key } of batch) busyKeys.add(key);
    flushes += 1;
    flushing += batch.length;
    const results = await outcomes(batch);
    flushes -= 1;
    flushing -= batch.length;
    for (const { key } of batch) busyKeys.delete(key);
    // The next flush starts before the waiters of this one run.
    pump();
    for (const [index, waiting] of batch.entries()) waiting.settle(results[index] as Result | Error);
    checkIdle();
  };

  const pump = (): void => {
    while (flushes < concurrency && queue.length > 0) {
      const batch = take();
      if (batch.length === 0) break;
      void runFlush(batch);
    }
  };

  const checkIdle = (): void => {
    if (stopped && flushes === 0 && queue.length === 0) whenIdle.resolve();
  };

  return {
    get depth() {
      return { queued: queue.length, flushing };
    },
    submit(unit, { signal } = {}) {
      if (stopped) return Promise.reject(new AppError('unavailable', 'The service is stopping'));
      if (signal?.aborted) return Promise.reject(abortFault(signal));
      if (queue.length >= maxQueued)
        return Promise.reject(new AppError('overloaded', 'Too many writes are waiting'));
      return new Promise((resolve, reject) => {
        const onAbort = () => {
          const before = queue.length;
          queue = queue.filter((other) => other !== waiting);
          if (queue.length < before && signal) reject(abortFault(signal));
          checkIdle();
        };
        const waiting: Waiting<Unit, Result> = {
          unit,
          key: keyOf(unit),
          bytes: sizeOf(unit),
          settle: (outcome) => {
            signal?.removeEventListener('abort', onAbort);
            if (outcome instanceof Error) reject(outcome);
            else resolve(outcome);
          },
        };
        signal?.addEventListener('abort', onAbort, { once: true });
        queue.push(waiting);
        // All units submitted in this turn of the event loop share the first flush.
        if (!scheduled) {
          scheduled = true;
          setImmediate(() => {
            scheduled = false;
            pump();
          });
        }
      });
    },
    stop() {
      stopped = true;
      checkIdle();
      return whenIdle.promise;
    },
  };
};
