import type { Position } from './outbox.ts';

/** Batches that are remembered; when consumers are further behind, the mark stays where it was. */
const maxBatches = 1_000;

/** Translates marks of the bus, which consumers have reached, into positions of the log. */
export interface HandledMark {
  /** Everything before `position` is stored at `mark` or before. */
  published(mark: number, position: Position): void;
  /** The newest position whose events all have been handled by those who are at `mark`; undefined: none known. */
  at(mark: number): Position | undefined;
}

/** A bounded memory of what was published where. */
export const handledMark = (): HandledMark => {
  const batches: { mark: number; position: Position }[] = [];
  return {
    published: (mark, position) => {
      const last = batches.at(-1);
      // Stored before, or at the same place: the newer position holds as soon as the older mark is reached.
      batches.push({ mark: Math.max(mark, last?.mark ?? 0), position });
      if (batches.length > maxBatches) batches.shift();
    },
    at: (mark) => {
      let found: Position | undefined;
      while (batches[0] && batches[0].mark <= mark) found = batches.shift()?.position;
      return found;
    },
  };
};
