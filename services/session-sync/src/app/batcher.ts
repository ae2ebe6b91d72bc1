/** Work gathered into batches: a process-wide group commit. */
export interface Batcher<Unit, Result> {
  /** Resolves with the unit's own result once its batch has ended; units of one key stay in order. */
  submit(unit: Unit, options?: { readonly signal?: AbortSignal | undefined }): Promise<Result>;
  readonly depth: { readonly queued: number; readonly flushing: number };
  /** Refuses new units and resolves when all accepted ones are settled. */
  stop(): Promise<void>;
}

/** Makes a batcher; a key is in at most one flush at a time. */
export type MakeBatcher = <Unit, Result>(options: {
  readonly maxUnits: number;
  readonly maxBytes: number;
  readonly sizeOf: (unit: Unit) => number;
  /** Units that may wait; the next one is refused with `overloaded`. */
  readonly maxQueued: number;
  readonly concurrency: number;
  readonly keyOf: (unit: Unit) => string;
  /** Results in the order of the units; an `Error` fails its unit only. */
  readonly flush: (units: readonly Unit[]) => Promise<readonly (Result | Error)[]>;
}) => Batcher<Unit, Result>;
