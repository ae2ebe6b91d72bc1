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
  /** Older ones that are known not to be done: their seq is somebody else's, and they wait for another id. */
  readonly displaced: readonly Mutation[];
  /** The highest seq that was ever sent: the server may have what waits up to there, and nothing that is newer. */
  readonly sent: number;
}

/** A mutation and what became of it. */
export interface Settled {
  readonly mutation: Mutation;
  readonly result: MutationResult;
}

/** The queue of a device that has not done anything yet. */
export const emptyQueue: MutationQueue = { lastSeq: 0, waiting: [], displaced: [], sent: 0 };

/** The queue with one more mutation, which gets the next seq. */
export const enqueue = (queue: MutationQueue, mutation: Omit<Mutation, 'seq'>): MutationQueue => {
  const seq = queue.lastSeq + 1;
  return { ...queue, lastSeq: seq, waiting: [...queue.waiting, { ...mutation, seq }] };
};

/** Whether the server may have something of what waits. */
export const isInDoubt = ({ waiting, sent }: MutationQueue): boolean => (waiting[0]?.seq ?? sent + 1) <= sent;

/**
 * The oldest that wait, at most `most`, and the queue once they are sent: keep that before you send them. A device
 * that is leaving its id sends only what it has sent before.
 */
export const sending = (
  queue: MutationQueue,
  most: number,
  leaving = false,
): { readonly queue: MutationQueue; readonly mutations: readonly Mutation[] } => {
  const mutations = queue.waiting.slice(0, most).filter(({ seq }) => !leaving || seq <= queue.sent);
  return { queue: { ...queue, sent: Math.max(queue.sent, mutations.at(-1)?.seq ?? 0) }, mutations };
};

/**
 * Takes the results of a `mutate` out of the queue. Results may be fewer than were sent, and may come again or late:
 * what is not waiting any more is passed over. `reused` says that the device must leave its id: somebody else has
 * acknowledged a seq of what waits, so it is not what waits that was done.
 */
export const answered = (
  queue: MutationQueue,
  results: readonly MutationResult[],
): { readonly queue: MutationQueue; readonly settled: readonly Settled[]; readonly reused: boolean } => {
  const bySeq = new Map(results.map((result) => [result.seq, result]));
  const settled: Settled[] = [];
  const displaced: Mutation[] = [];
  for (const mutation of queue.waiting) {
    const result = bySeq.get(mutation.seq);
    if (!result) break;
    if (result.outcome === 'duplicate' && !result.original) displaced.push(mutation);
    else settled.push({ mutation, result });
  }
  const waiting = queue.waiting.slice(settled.length + displaced.length);
  return {
    queue: { ...queue, waiting, displaced: [...queue.displaced, ...displaced] },
    settled,
    reused: displaced.length > 0,
  };
};

/**
 * After the error `seq_reused`: the server has something else under the seq of the oldest, and so nothing of all that
 * waits. The device must leave its id.
 */
export const notDone = ({ waiting, displaced, ...queue }: MutationQueue): MutationQueue => ({
  ...queue,
  waiting: [],
  displaced: [...displaced, ...waiting],
});

const renumberedFrom = ({ waiting, displaced }: MutationQueue, seq: number): MutationQueue => ({
  lastSeq: seq - 1 + waiting.length,
  waiting: waiting.map((mutation, at) => ({ ...mutation, seq: seq + at })),
  displaced,
  sent: seq - 1,
});

/**
 * The queues of all spaces of a device under a new id, numbered from 1. Undefined as long as the server may have
 * something of what waits: numbered anew that would be done twice, so it is asked for under the old id first.
 */
export const underNewId = (
  queues: ReadonlyMap<string, MutationQueue>,
): ReadonlyMap<string, MutationQueue> | undefined =>
  [...queues.values()].some(isInDoubt)
    ? undefined
    : new Map(
        [...queues].map(([space, queue]) => {
          const { waiting, displaced } = queue;
          return [space, renumberedFrom({ ...queue, waiting: [...displaced, ...waiting], displaced: [] }, 1)];
        }),
      );

/**
 * After the error `expected_seq`, and with `lastSeq + 1` of every welcome: when the server has less of this device than
 * the device believes, as after a restore, what waits, or what comes next, is numbered anew from there. What is older
 * than the queue changes nothing. At the welcome is best: what never was sent under its old number in the restored log
 * cannot arrive late.
 */
export const expectedFrom = (queue: MutationQueue, expectedSeq: number): MutationQueue => {
  const next = queue.waiting[0]?.seq ?? queue.lastSeq + 1;
  return expectedSeq < next ? renumberedFrom(queue, expectedSeq) : queue;
};

/**
 * After the snapshot of another epoch, with the `lastSeq` that was told with it: the log was restored or redacted. What
 * this log has of the device (up to `lastSeq`) is asked for as it was. The rest is numbered from there, and its base is
 * what the device has seen of this log: `seenVersion` tells the version of a document in the snapshot whose value is the
 * one the device had; undefined: the value is another, or there is none. Then it has seen the beginning and no more, so
 * that nothing is written over which nobody here has seen.
 */
export const rebased = (
  queue: MutationQueue,
  lastSeq: number,
  seenVersion: (mutation: Mutation) => number | undefined,
): MutationQueue => {
  if (isForeign(queue, lastSeq)) return queue;
  const inDoubt = queue.waiting.filter(({ seq }) => seq <= lastSeq);
  const anew = queue.waiting.slice(inDoubt.length).map((mutation, at) => ({
    ...mutation,
    seq: lastSeq + 1 + at,
    baseVersion: mutation.baseVersion === 0 ? 0 : (seenVersion(mutation) ?? 1),
  }));
  return { ...queue, lastSeq: lastSeq + anew.length, waiting: [...inDoubt, ...anew], sent: lastSeq };
};

/**
 * Whether the `lastSeq` of a welcome says that somebody else writes under this device's id, or the device was set back
 * to an older state: then it must leave its id.
 */
export const isForeign = (queue: MutationQueue, lastSeq: number): boolean => lastSeq > queue.lastSeq;
