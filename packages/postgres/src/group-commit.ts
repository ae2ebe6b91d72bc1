import { AppError } from '@skein/contracts';

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
   * An `Error` in that place fails only this unit. A rejection fails all of them. While it is under way, the keys
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
