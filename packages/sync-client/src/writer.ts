import {
  answered,
  emptyQueue,
  enqueue,
  expectedFrom,
  isForeign,
  type Mutation,
  type MutationQueue,
  type MutationResult,
  notDone,
  rebased,
  sending,
  underNewId,
} from '@skein/sync-core';
import { documentKey, type Logs, type Queues, type SpaceState } from './model.ts';
import type { Clock } from './ports.ts';
import { jitteredMs } from './retry.ts';

/** Mutations sent in one frame. */
const batch = 20;
/** A batch without an answer after this long is sent again: its seqs make that harmless. */
const answerMs = 6_000;
/** The least wait before what a server could not take for now is sent again. */
const retryMs = 200;
/** Whoever is not in a space any more is told so by these. */
const shutOut = ['forbidden', 'not_found'];

/** What the mutations of a device have to know of a frame. */
export interface MutationFrame {
  readonly type: string;
  readonly id?: string;
  readonly space?: string;
  readonly results?: readonly MutationResult[];
  readonly code?: string;
  readonly retryable?: boolean;
  readonly retryAfterMs?: number;
  readonly expectedSeq?: number;
  readonly lastSeq?: number;
  readonly part?: number;
  readonly parts?: number;
  readonly streams?: readonly { readonly space: string; readonly lastSeq?: number }[];
}

/** The mutations of a device on their way to the server. */
export interface Writer {
  mutate(space: string, mutation: Omit<Mutation, 'seq'>): void;
  /** Takes what a frame says about mutations; others are passed over. */
  hear(frame: MutationFrame): void;
  /** Nothing is sent, and nothing waits for an answer, until the next welcome. */
  disconnected(): void;
}

/** What a writer needs from outside. */
export interface WriterOptions {
  readonly clock: Pick<Clock, 'after'>;
  /** In [0, 1). */
  readonly random: () => number;
  readonly newId: () => string;
  /** The queues as they were kept, and the logs they were made on. */
  readonly queues: Queues;
  readonly logs: Logs;
  /** Keeps them; called before anything of them is sent. */
  readonly keep: (queues: Queues, logs: Logs) => void;
  readonly send: (frame: { readonly type: string }) => void;
  /** What the page has of a space; a frame must be in it before it is heard here. */
  readonly stateOf: (space: string) => SpaceState | undefined;
  /** The server has said what became of a mutation. */
  readonly settled: (space: string, mutation: Mutation, result: MutationResult) => void;
  /** The server takes nothing of this device in this space any more: what waits for it is given up, with this code. */
  readonly givenUp: (mutations: readonly Mutation[], code: string) => void;
  /** A batch was refused in a way that the protocol knows nothing of; it is sent again later. */
  readonly refused: (code: string) => void;
  /** Takes another device id and connects anew: somebody else writes under this one. */
  readonly rename: () => void;
}

/** What the device has of the documents that a queue changes. */
const hashesOf = (
  { displaced, waiting }: MutationQueue,
  documents: SpaceState['documents'],
): Logs[string]['hashes'] =>
  Object.fromEntries(
    [...displaced, ...waiting].flatMap(({ collection, id }) => {
      const key = documentKey(collection, id);
      const hash = documents[key]?.hash;
      return hash === undefined ? [] : [[key, hash]];
    }),
  );

/**
 * Sends the queue of each space over whatever line there is, by the rules for `seq` of PROTOCOL.md: in order, one frame
 * at a time, again after a loss, and under another device id when this one is somebody else's.
 */
export const createWriter = (options: WriterOptions): Writer => {
  const { clock, newId, send, stateOf, settled, givenUp, refused, rename } = options;
  let { queues, logs } = options;
  /** One frame at a time for each space. */
  const asked = new Map<string, { readonly id: string; readonly cancel: () => void }>();
  let welcomed = false;
  let attempt = 0;
  /** How often the line was lost: nothing is done again for an older one. */
  let line = 0;
  /** Somebody else writes under its id. */
  let leaving = false;

  const queueOf = (space: string): MutationQueue => queues[space] ?? emptyQueue;
  const put = (space: string, queue: MutationQueue): void => {
    if (queue === queues[space]) return;
    queues = { ...queues, [space]: queue };
    const { position, awaiting, documents = {} } = stateOf(space) ?? {};
    const epoch = awaiting ? logs[space]?.epoch : position?.epoch;
    if (epoch !== undefined && !awaiting)
      logs = { ...logs, [space]: { epoch, hashes: hashesOf(queue, documents) } };
    options.keep(queues, logs);
  };
  /** How far the server has this device, as it last said. */
  const reached = new Map<string, number>();

  /** Of another log than it was made on, a queue is made anew for this one. */
  const follow = (space: string): void => {
    const { position, awaiting, documents = {} } = stateOf(space) ?? {};
    const before = logs[space];
    if (!position || awaiting || !before || before.epoch === position.epoch) return;
    // What is answered late was asked of the other log.
    asked.get(space)?.cancel();
    asked.delete(space);
    const queue = rebased(queueOf(space), reached.get(space) ?? 0, ({ collection, id }) => {
      const key = documentKey(collection, id);
      const { version, hash } = documents[key] ?? {};
      return before.hashes[key] === hash ? version : undefined;
    });
    put(space, queue);
  };

  const flush = (space: string): void => {
    follow(space);
    const state = stateOf(space);
    if (!welcomed || asked.has(space) || state?.awaiting) return;
    const { queue, mutations } = sending(queueOf(space), batch, leaving);
    if (mutations.length === 0) return;
    put(space, queue);
    const id = `m-${newId()}`;
    const cancel = clock.after(answerMs, () => {
      asked.delete(space);
      flush(space);
    });
    asked.set(space, { id, cancel });
    const frame = { type: 'mutate', id, space, epoch: state?.position?.epoch, mutations };
    send(frame);
  };

  const later = (space: string, afterMs = retryMs + jitteredMs(attempt++, options.random())): void => {
    const mine = line;
    clock.after(afterMs, () => {
      if (mine === line) flush(space);
    });
  };

  /** Goes on under another id, if it has to and no longer waits for an answer under this one. */
  const reborn = (): boolean => {
    const renumbered = leaving ? underNewId(new Map(Object.entries(queues))) : undefined;
    if (!renumbered) return false;
    leaving = false;
    queues = Object.fromEntries(renumbered);
    options.keep(queues, logs);
    rename();
    return true;
  };

  const take = (space: string, frame: MutationFrame): void => {
    // Of another log nothing was done; its snapshot comes, and with it a new queue.
    let again = frame.retryable === true || frame.code === 'position_lost';
    if (frame.type === 'result') {
      attempt = 0;
      const taken = answered(queueOf(space), frame.results ?? []);
      put(space, taken.queue);
      leaving ||= taken.reused;
      for (const { mutation, result } of taken.settled) settled(space, mutation, result);
      const { waiting, lastSeq } = taken.queue;
      const ack = {
        type: 'ack',
        space,
        offset: stateOf(space)?.position?.offset ?? 0,
        seq: (waiting[0]?.seq ?? lastSeq + 1) - 1,
      };
      send(ack);
    } else if (frame.code === 'expected_seq')
      put(space, expectedFrom(queueOf(space), frame.expectedSeq ?? 0));
    else if (frame.code === 'seq_reused') {
      put(space, notDone(queueOf(space)));
      leaving = true;
    } else if (shutOut.includes(frame.code ?? '')) {
      const { waiting, displaced } = queueOf(space);
      givenUp([...displaced, ...waiting], frame.code ?? '');
      put(space, { ...queueOf(space), waiting: [], displaced: [] });
    } else if (!again) {
      refused(frame.code ?? '');
      again = true;
    }
    if (again) later(space, frame.retryAfterMs);
    else if (!reborn()) flush(space);
  };

  return {
    mutate: (space, mutation) => {
      put(space, enqueue(queueOf(space), mutation));
      flush(space);
    },
    hear: (frame) => {
      const { type, space = '', lastSeq = 0 } = frame;
      const streams =
        type === 'welcome' ? (frame.streams ?? []) : type === 'subscribed' ? [{ space, lastSeq }] : [];
      for (const one of streams) if (one.lastSeq !== undefined) reached.set(one.space, one.lastSeq);
      if (type === 'welcome') {
        welcomed = true;
        // A space that is away for now says nothing about it.
        for (const { space: at, lastSeq: last } of streams)
          if (last !== undefined) put(at, expectedFrom(queueOf(at), last + 1));
      }
      leaving ||= streams.some((one) => isForeign(queueOf(one.space), one.lastSeq ?? 0));
      // Of a space that was left the server says that it is closed, and the queue is given up.
      if (['welcome', 'subscribed', 'unsubscribed'].includes(type) && !reborn())
        for (const one of Object.keys(queues)) flush(one);
      if (type === 'snapshot' && frame.part === frame.parts) flush(space);
      const [at] = [...asked].find(([, { id }]) => id === frame.id) ?? [];
      if (at === undefined) return;
      asked.get(at)?.cancel();
      asked.delete(at);
      take(at, frame);
    },
    disconnected: () => {
      line += 1;
      welcomed = false;
      for (const { cancel } of asked.values()) cancel();
      asked.clear();
    },
  };
};
