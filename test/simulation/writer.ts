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
import type { SpaceState } from '../../packages/console/src/sync/model.ts';
import type { Ground } from './disk.ts';

/** Mutations sent in one frame. */
const batch = 20;
const answerMs = 6_000;
const retryMs = { min: 200, max: 1_500 };
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
  readonly expectedSeq?: number;
  readonly lastSeq?: number;
  readonly part?: number;
  readonly parts?: number;
  readonly streams?: readonly { readonly space: string; readonly lastSeq?: number }[];
}

/** The mutations of a device on their way to the server. */
export interface Writer {
  /** How many the server has not answered. */
  readonly waiting: number;
  mutate(space: string, mutation: Omit<Mutation, 'seq'>): void;
  /** Looks at a frame before the page does. True when the device has begun anew because of it. */
  overhear(frame: MutationFrame): boolean;
  /** Nothing is sent, and nothing waits for an answer, until the next welcome. */
  disconnected(): void;
  /** The device has lost its memory. */
  forget(): void;
}

/** What the writer of a device asks of the rest of it. */
export interface WriterOptions {
  readonly ground: Ground;
  readonly newId: () => string;
  readonly send: (frame: object) => void;
  /** What the page has of a space. */
  readonly stateOf: (space: string) => SpaceState | undefined;
  readonly settled: (space: string, mutation: Mutation, result: MutationResult) => void;
  readonly wrong: (text: string) => void;
  /** Takes a new device id and begins anew. */
  readonly rename: () => void;
}

/** A queue of mutations for each space, sent over whatever line there is. */
export const createWriter = (options: WriterOptions): Writer => {
  const { newId, send, stateOf, settled, wrong, rename } = options;
  const { schedule, random } = options.ground;
  const queues = new Map<string, MutationQueue>();
  /** One frame at a time for each space. */
  const asked = new Map<string, { readonly id: string; readonly cancel: () => void }>();
  let welcomed = false;
  /** How often the line was lost: nothing is done again for an older one. */
  let line = 0;
  /** Somebody else writes under its id. */
  let leaving = false;

  /** The log that the queue of a space was made on, with its documents. */
  const logs = new Map<string, { readonly epoch: string; readonly documents: SpaceState['documents'] }>();
  /** How far the server has this device, as it last said. */
  const reached = new Map<string, number>();

  const queueOf = (space: string) => queues.get(space) ?? emptyQueue;

  /** Looks at what the page has of a space: of another log than before, the queue is made anew for it. */
  const follow = (space: string): void => {
    const { position, awaiting, documents = {} } = stateOf(space) ?? {};
    if (!position || awaiting) return;
    const { epoch } = position;
    const before = logs.get(space);
    logs.set(space, { epoch, documents });
    if (!before || before.epoch === epoch) return;
    // What is answered late was asked of the other log.
    asked.get(space)?.cancel();
    asked.delete(space);
    const queue = rebased(queueOf(space), reached.get(space) ?? 0, ({ collection, id }) => {
      const key = `${collection}\0${id}`;
      const { version, hash } = documents[key] ?? {};
      return before.documents[key]?.hash === hash ? version : undefined;
    });
    queues.set(space, queue);
  };

  const flush = (space: string): void => {
    follow(space);
    const state = stateOf(space);
    if (!welcomed || asked.has(space) || state?.awaiting) return;
    const { queue, mutations } = sending(queueOf(space), batch, leaving);
    if (mutations.length === 0) return;
    queues.set(space, queue);
    const id = `m-${newId()}`;
    const cancel = schedule.after(answerMs, () => {
      asked.delete(space);
      flush(space);
    });
    asked.set(space, { id, cancel });
    send({ type: 'mutate', id, space, epoch: state?.position?.epoch, mutations });
  };

  const later = (space: string) => {
    const mine = line;
    schedule.after(random.between(retryMs.min, retryMs.max), () => {
      if (mine === line) flush(space);
    });
  };

  /** Goes on under another id, if it has to and no longer waits for an answer under this one. */
  const reborn = (): boolean => {
    const renumbered = leaving ? underNewId(queues) : undefined;
    if (!renumbered) return false;
    leaving = false;
    for (const [space, queue] of renumbered) queues.set(space, queue);
    rename();
    return true;
  };

  const take = (space: string, frame: MutationFrame): void => {
    if (frame.type === 'result') {
      const taken = answered(queueOf(space), frame.results ?? []);
      queues.set(space, taken.queue);
      leaving ||= taken.reused;
      for (const { mutation, result } of taken.settled) settled(space, mutation, result);
      const { waiting, lastSeq } = taken.queue;
      send({
        type: 'ack',
        space,
        offset: stateOf(space)?.position?.offset ?? 0,
        seq: (waiting[0]?.seq ?? lastSeq + 1) - 1,
      });
    } else if (frame.code === 'expected_seq')
      queues.set(space, expectedFrom(queueOf(space), frame.expectedSeq ?? 0));
    else if (frame.code === 'seq_reused') {
      queues.set(space, notDone(queueOf(space)));
      leaving = true;
    } else if (shutOut.includes(frame.code ?? ''))
      queues.set(space, { ...queueOf(space), waiting: [], displaced: [] });
    else if (frame.retryable !== true && frame.code !== 'position_lost')
      wrong(`a mutation was refused as ${frame.code}`);
    if (frame.retryable === true || frame.code === 'position_lost') later(space);
    else if (!reborn()) flush(space);
  };

  return {
    get waiting() {
      const all = [...queues.values()];
      return all.reduce((sum, { waiting, displaced }) => sum + waiting.length + displaced.length, 0);
    },
    mutate: (space, mutation) => {
      queues.set(space, enqueue(queueOf(space), mutation));
      flush(space);
    },
    overhear: (frame) => {
      const before = line;
      const { type, space = '', lastSeq = 0 } = frame;
      if (queues.has(space)) follow(space);
      const streams =
        type === 'welcome' ? (frame.streams ?? []) : type === 'subscribed' ? [{ space, lastSeq }] : [];
      for (const one of streams) if (one.lastSeq !== undefined) reached.set(one.space, one.lastSeq);
      if (type === 'welcome') welcomed = true;
      if (type === 'welcome')
        // A space that is away for now says nothing about it.
        for (const { space: at, lastSeq: reached } of streams)
          if (reached !== undefined) queues.set(at, expectedFrom(queueOf(at), reached + 1));
      leaving ||= streams.some((one) => isForeign(queueOf(one.space), one.lastSeq ?? 0));
      // Of a space that was left the server says that it is closed, and the queue is given up.
      if (['welcome', 'subscribed', 'unsubscribed'].includes(type) && !reborn())
        for (const one of queues.keys()) flush(one);
      // The page has it in a moment.
      if (type === 'snapshot' && frame.part === frame.parts) schedule.after(1, () => flush(space));
      const [at] = [...asked].find(([, { id }]) => id === frame.id) ?? [];
      if (at !== undefined) {
        asked.get(at)?.cancel();
        asked.delete(at);
        take(at, frame);
      }
      return before !== line;
    },
    disconnected: () => {
      line += 1;
      welcomed = false;
      for (const { cancel } of asked.values()) cancel();
      asked.clear();
    },
    forget: () => {
      queues.clear();
      logs.clear();
      leaving = false;
    },
  };
};
