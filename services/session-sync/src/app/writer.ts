import { AppError } from '@skein/contracts';
import type { Clock } from '@skein/service-kit';
import type { Accepted, Decision, Refusal } from '../domain/decision.ts';
import { encodeEvent } from '../domain/event.ts';
import { evolve, type Needs, type SpaceState, type Writes } from '../domain/state.ts';
import type { Batcher, MakeBatcher } from './batcher.ts';
import { mergeWrites, writesOf } from './merge-writes.ts';
import {
  type CommittedEvents,
  type Ids,
  OutcomeUnknown,
  type PlannedEvent,
  type SpacePlan,
  type SpaceStore,
  SpacesMoved,
} from './ports.ts';

/** One command on one space: what it must see and how it decides. */
export interface Unit<R> {
  readonly space: string;
  readonly needs: Needs;
  /** Pure: it is called again whenever the space has moved on. `nowMs` is the time its events are given. */
  readonly decide: (state: SpaceState, nowMs: number) => Decision<R>;
  readonly correlationId: string;
  readonly traceparent?: string | undefined;
  /** About how much it writes, in bytes: bounds what one flush sends. */
  readonly bytes?: number | undefined;
}

/** The process's one way to change spaces. */
export interface Writer {
  /**
   * Decides and commits, together with whatever else is waiting. Resolves when it is durable and has been handed to
   * the live feeds. Rejects with the refusal as a fault, `overloaded`, or what the database says.
   */
  write<R>(unit: Unit<R>, signal?: AbortSignal): Promise<R>;
  readonly depth: Batcher<unknown, unknown>['depth'];
  /** Refuses new units and waits for those accepted. */
  stop(): Promise<void>;
}

/** What a writer is made of. */
export interface WriterOptions {
  readonly store: SpaceStore;
  readonly batcher: MakeBatcher;
  readonly ids: Pick<Ids, 'next'>;
  readonly clock: Clock;
  /** Told of every commit, in order per space, before the writers are answered. */
  readonly committed: (batch: readonly CommittedEvents[]) => void;
  /** Told of what is unusual: losing a race, an outcome that had to be read back. */
  readonly noticed?: (what: 'moved' | 'exclusive' | 'unknown' | 'split' | 'untold') => void;
  readonly wait: (delayMs: number) => Promise<void>;
  readonly limits?: { readonly maxUnits?: number; readonly maxQueued?: number };
}

/** What one flush sends at most, and what a unit adds beside its own content. */
const flushBytes = 8 * 1024 * 1024;
const unitBytes = 1_000;
/** Largest event as JSON: it must fit a frame of 1,000,000 bytes and a message of the live bus. */
const eventBytes = 900_000;
/** How often a batch is tried without keeping others away. */
const maxOpen = 2;
/** How often spaces are tried for themselves: something that no lock on a space keeps away may have moved. */
const maxExclusive = 3;
/** Pause between attempts to find out what became of a write. */
const readBackMs = { first: 50, most: 2_000 };

/** A unit with what tells that its caller has gone. */
interface AnyUnit extends Unit<unknown> {
  readonly signal?: AbortSignal | undefined;
}

/** One space's part of a flush: its units in order, and their answers once decided. */
interface Group {
  readonly space: string;
  readonly units: readonly AnyUnit[];
  readonly at: readonly number[];
}

/** Answers of a group in the order of its units, and what has to be written for them to be true. */
interface Planned {
  readonly group: Group;
  readonly answers: readonly (Accepted<unknown>['result'] | Error)[];
  readonly plan: SpacePlan | undefined;
  readonly epoch: string;
}

const fault = ({ code, detail, ...more }: Refusal): AppError => new AppError(code, detail, more);

/** What a caller that has gone is told, if it still listens. */
const goneFault = ({ reason }: AbortSignal): AppError =>
  reason instanceof AppError ? reason : new AppError('cancelled', undefined, { cause: reason });

/** What the units of groups must see; those whose callers have gone see nothing any more. */
const needsOf = (groups: readonly Group[]): Map<string, Needs[]> =>
  new Map(
    groups.map(({ space, units }) => [
      space,
      units.flatMap(({ needs, signal }) => (signal?.aborted ? [] : [needs])),
    ]),
  );

const plansOf = (planned: readonly Planned[]): SpacePlan[] =>
  planned.flatMap(({ plan: written }) => (written ? [written] : []));

/** Groups by space, sorted, so that two replicas take their locks in the same order. */
const groupsOf = (units: readonly AnyUnit[]): Group[] => {
  const bySpace = new Map<string, { units: AnyUnit[]; at: number[] }>();
  for (const [index, unit] of units.entries()) {
    let group = bySpace.get(unit.space);
    if (!group) {
      group = { units: [], at: [] };
      bySpace.set(unit.space, group);
    }
    group.units.push(unit);
    group.at.push(index);
  }
  return [...bySpace]
    .map(([space, group]) => ({ space, ...group }))
    .sort((a, b) => (a.space < b.space ? -1 : 1));
};

/** Groups in two parts, in order: by space, the units of a single one; undefined when there is but one unit. */
const halves = (groups: readonly Group[]): readonly [Group[], Group[]] | undefined => {
  const [only] = groups;
  if (!only || groups.length > 1) {
    const middle = groups.length >> 1;
    return only && [groups.slice(0, middle), groups.slice(middle)];
  }
  const middle = only.units.length >> 1;
  if (middle === 0) return undefined;
  const part = (from: number, to?: number): Group[] => [
    { space: only.space, units: only.units.slice(from, to), at: only.at.slice(from, to) },
  ];
  return [part(0, middle), part(middle)];
};

/** A writer over a store: units that wait at the same time share one transaction, and a space is in one at a time. */
export const createWriter = (options: WriterOptions): Writer => {
  const { store, ids, clock, committed, wait, noticed = () => {} } = options;

  /** Decides a group's units one after the other, each on what the one before has done. */
  const plan = (group: Group, state: SpaceState | undefined): Planned => {
    if (!state) {
      const missing = new AppError('not_found', 'There is no such space');
      return { group, answers: group.units.map(() => missing), plan: undefined, epoch: '' };
    }
    const versions = new Map([...state.documents].map(([key, row]) => [key, row.version]));
    const seqs = new Map(state.seqs);
    const events: PlannedEvent[] = [];
    const rows = new Map<keyof Writes, Map<string, unknown>>();
    const answers = group.units.map((unit) => {
      // Nothing of it is written yet, and nobody waits for it: it must not hold the others up.
      if (unit.signal?.aborted) return goneFault(unit.signal);
      // One reading for rows and events, so that the log alone tells what is in the rows.
      const nowMs = clock.now();
      let decision: Decision<unknown>;
      try {
        decision = unit.decide(state, nowMs);
      } catch (error) {
        // A unit that cannot be decided must not take the others of its flush with it.
        return error instanceof Error ? error : new Error('a decision failed', { cause: error });
      }
      if ('refused' in decision) return fault(decision.refused);
      const own = decision.events.map((event, index): PlannedEvent => {
        const id = ids.next();
        return {
          offset: state.head + 1 + index,
          id,
          type: event.type,
          json: encodeEvent(event, id, nowMs),
          timeMs: nowMs,
          correlationId: unit.correlationId,
          traceparent: unit.traceparent,
        };
      });
      if (own.some(({ json }) => Buffer.byteLength(json) > eventBytes))
        return new AppError('too_large', `An event must be at most ${eventBytes} bytes long`);
      events.push(...own);
      mergeWrites(rows, decision.writes);
      evolve(state, decision.events.length, decision.writes);
      return decision.result;
    });
    const writes = writesOf(rows);
    const nothing = events.length === 0 && rows.size === 0;
    return {
      group,
      answers,
      epoch: state.epoch,
      plan: nothing
        ? undefined
        : { space: group.space, events, writes, expected: { documents: versions, seqs } },
    };
  };

  const publish = (done: readonly Planned[]): void => {
    const batch = done.flatMap(({ plan: written, epoch }) =>
      written && written.events.length > 0 ? [{ space: written.space, epoch, events: written.events }] : [],
    );
    if (batch.length === 0) return;
    try {
      committed(batch);
    } catch {
      // It is durable, so its writers must hear so; the feeds find what they were not told by comparing heads.
      noticed('untold');
    }
  };

  /** Whether a batch whose outcome is not known was committed: any event of it tells, for it is all or nothing. */
  const wasCommitted = async (plans: readonly SpacePlan[]): Promise<boolean> => {
    for (const { space, events } of plans) {
      const [first] = events;
      if (first) return store.holds(space, first.offset, first.id);
    }
    // Without an event only the guards speak: the units decide again and find their own results.
    return false;
  };

  /**
   * Writes plans and returns the spaces that lost. An unknown outcome is settled here, however long it takes, so
   * that its spaces stay out of every other flush: the same write is sent again, which waits for the first one if
   * that is still under way, and a guard that fails then tells by its event id whose write is there. `unknown`: the
   * plans were sent once before and the answer was lost.
   */
  const commit = async (
    plans: readonly SpacePlan[],
    { unknown = false }: { unknown?: boolean } = {},
  ): Promise<ReadonlySet<string>> => {
    let pauseMs = readBackMs.first;
    for (;;) {
      try {
        await store.commit(plans);
        return new Set();
      } catch (error) {
        if (error instanceof OutcomeUnknown) {
          unknown = true;
          noticed('unknown');
        } else if (unknown && error instanceof AppError) {
          // The database is away or busy: nothing is known yet, so nothing may be told.
        } else if (error instanceof SpacesMoved) {
          if (!unknown) return error.spaces;
          try {
            return (await wasCommitted(plans)) ? new Set() : error.spaces;
          } catch {
            // Still away: asked again after the pause.
          }
        } else {
          throw error;
        }
      }
      await wait(pauseMs);
      pauseMs = Math.min(pauseMs * 2, readBackMs.most);
    }
  };

  /**
   * Spaces in one transaction that has them for itself: whoever loses to a faster replica needs no luck to get
   * its turn. One transaction a space would make everybody in the flush wait for the sum.
   */
  const exclusive = async (groups: readonly Group[]): Promise<readonly Planned[]> => {
    for (let attempt = 1; ; attempt += 1) {
      noticed('exclusive');
      let planned: readonly Planned[] = [];
      try {
        await store.exclusively(needsOf(groups), (states) => {
          planned = groups.map((group) => plan(group, states.get(group.space)));
          return plansOf(planned);
        });
        return planned;
      } catch (error) {
        if (error instanceof OutcomeUnknown) {
          noticed('unknown');
          const plans = plansOf(planned);
          if (plans.length === 0) throw new AppError('unavailable', undefined, { cause: error });
          const lost = await commit(plans, { unknown: true });
          if (lost.size === 0) return planned;
          // It did not happen, and others have written since the spaces were let go.
        } else if (!(error instanceof SpacesMoved)) throw error;
        if (attempt >= maxExclusive) throw error;
      }
    }
  };

  /** Takes spaces for itself; a write that fails for a reason of its own is halved until one command is left to fail. */
  const settle = async (groups: readonly Group[]): Promise<readonly Planned[]> => {
    try {
      const planned = await exclusive(groups);
      publish(planned);
      return planned;
    } catch (error) {
      const parts = error instanceof AppError ? undefined : halves(groups);
      if (parts) {
        noticed('split');
        return [...(await settle(parts[0])), ...(await settle(parts[1]))];
      }
      const moved = error instanceof SpacesMoved || error instanceof OutcomeUnknown;
      const known = error instanceof Error ? error : new Error('the write failed', { cause: error });
      const failure = moved ? new AppError('conflict', undefined, { cause: error }) : known;
      return groups.map((group) => ({
        group,
        answers: group.units.map(() => failure),
        plan: undefined,
        epoch: '',
      }));
    }
  };

  /** Writes without keeping anybody away; the spaces that lost are taken out and the others tried once more. */
  const tryOpen = async (groups: readonly Group[]): Promise<{ done: Planned[]; lost: Group[] }> => {
    const states = await store.load(needsOf(groups));
    const planned = groups.map((group) => plan(group, states.get(group.space)));
    const done = planned.filter(({ plan: written }) => !written);
    const lost: Group[] = [];
    let open = planned.filter(({ plan: written }) => written);
    for (let attempt = 1; attempt <= maxOpen && open.length > 0; attempt += 1) {
      let moved: ReadonlySet<string>;
      try {
        moved = await commit(plansOf(open));
      } catch (error) {
        // What the database refuses as a whole it may take in parts; a fault of the connection is everybody's.
        if (error instanceof AppError && error.code !== 'conflict') throw error;
        break;
      }
      if (moved.size === 0) {
        publish(open);
        return { done: [...done, ...open], lost };
      }
      noticed('moved');
      lost.push(...open.filter(({ group }) => moved.has(group.space)).map(({ group }) => group));
      open = open.filter(({ group }) => !moved.has(group.space));
    }
    return { done, lost: [...lost, ...open.map(({ group }) => group)] };
  };

  const flush = async (units: readonly AnyUnit[]): Promise<(unknown | Error)[]> => {
    const { done, lost } = await tryOpen(groupsOf(units));
    if (lost.length > 0) done.push(...(await settle(lost)));
    const answers = new Array<unknown>(units.length);
    for (const { group, answers: own } of done)
      for (const [index, at] of group.at.entries()) answers[at] = own[index];
    return answers;
  };

  const batcher = options.batcher<AnyUnit, unknown>({
    maxUnits: options.limits?.maxUnits ?? 256,
    maxQueued: options.limits?.maxQueued ?? 10_000,
    maxBytes: flushBytes,
    sizeOf: (unit) => (unit.bytes ?? 0) + unitBytes,
    concurrency: 2,
    keyOf: (unit) => unit.space,
    flush,
  });

  return {
    write: <R>(unit: Unit<R>, signal?: AbortSignal) =>
      batcher.submit({ ...unit, signal }, { signal }) as Promise<R>,
    get depth() {
      return batcher.depth;
    },
    stop: () => batcher.stop(),
  };
};
