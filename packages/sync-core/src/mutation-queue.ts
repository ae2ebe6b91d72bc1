import type { Mutation, MutationResult } from './mutation.ts';

/**
 * What a device has done in one space and the server has not yet answered, in the order in which it was done. Plain
 * data: whoever keeps it across a restart keeps the device's promises.
 */
export interface MutationQueue {
  /** The highest seq this device has given out. */
  readonly lastSeq: number;
  /** In order of seq, without a gap, the newest with `lastSeq`. */
  readonly waiting: readonly Mutation[];
}

/** A mutation and what became of it. */
export interface Settled {
  readonly mutation: Mutation;
  readonly result: MutationResult;
}

/** The queue of a device that has not done anything yet. */
export const emptyQueue: MutationQueue = { lastSeq: 0, waiting: [] };

/** The queue with one more mutation, which gets the next seq. */
export const enqueue = (
  { lastSeq, waiting }: MutationQueue,
  mutation: Omit<Mutation, 'seq'>,
): MutationQueue => ({ lastSeq: lastSeq + 1, waiting: [...waiting, { ...mutation, seq: lastSeq + 1 }] });

/**
 * Takes the results of a `mutate` out of the queue. Results may be fewer than were sent, and may come again or late:
 * what is not waiting any more is passed over.
 */
export const answered = (
  queue: MutationQueue,
  results: readonly MutationResult[],
): { readonly queue: MutationQueue; readonly settled: readonly Settled[] } => {
  const bySeq = new Map(results.map((result) => [result.seq, result]));
  const settled: Settled[] = [];
  const waiting = queue.waiting.filter((mutation) => {
    const result = bySeq.get(mutation.seq);
    if (result) settled.push({ mutation, result });
    return !result;
  });
  return { queue: { ...queue, waiting }, settled };
};

/** The waiting mutations numbered anew from `seq`. */
export const renumberedFrom = ({ waiting }: MutationQueue, seq: number): MutationQueue => ({
  lastSeq: seq - 1 + waiting.length,
  waiting: waiting.map((mutation, at) => ({ ...mutation, seq: seq + at })),
});

/**
 * After the error `expected_seq`: the server has less of this device than the device believes, as after a restore, so
 * what waits is numbered anew from there. An answer that is older than the queue changes nothing.
 */
export const expectedFrom = (queue: MutationQueue, expectedSeq: number): MutationQueue => {
  const [oldest] = queue.waiting;
  return oldest && expectedSeq < oldest.seq ? renumberedFrom(queue, expectedSeq) : queue;
};

/**
 * Whether the `lastSeq` of a welcome says that somebody else writes under this device's id, or the device was set back
 * to an older state: then it takes a new id and numbers what waits from 1.
 */
export const isForeign = (queue: MutationQueue, lastSeq: number): boolean => lastSeq > queue.lastSeq;
