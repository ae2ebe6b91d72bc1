import type { Step } from './definition.ts';

/** Where a saga stands. The last three are ends. */
export const sagaStates = [
  'waiting',
  'running',
  'compensating',
  'parked',
  'done',
  'compensated',
  'killed',
] as const;

/** One of them. */
export type SagaState = (typeof sagaStates)[number];

/** The states nothing follows. */
export const endStates: ReadonlySet<SagaState> = new Set<SagaState>(['done', 'compensated', 'killed']);

/** What can be written into a saga's journal. */
export const entryKinds = [
  /** The step happened; `data` is its output. */
  'done',
  /** The participant refused, having done nothing; `data` is why. */
  'refused',
  /** The attempts are used up and nobody knows whether the step happened; `data` is the last failure. */
  'given_up',
  /** The step was taken back. */
  'undone',
  /** It waits for an operator; `data` is why. */
  'parked',
  /** An operator had it tried again. */
  'retried',
  /** An operator gave the step's output, or declared it taken back. */
  'skipped',
  /** Somebody wanted everything taken back. */
  'cancelled',
  /** An operator declared it done as it stands. */
  'forced',
  /** An operator ended it as it stands. */
  'killed',
] as const;

/** One of them. */
export type EntryKind = (typeof entryKinds)[number];

/** What becomes of a saga, one line of its journal. The position in the journal decides between two that come at once. */
export interface Entry {
  readonly kind: EntryKind;
  /** The step it is about. */
  readonly step: string;
  /** JSON text of at most 64 KiB. */
  readonly data?: string | undefined;
  /** Who did it and why, where it was not the orchestrator. */
  readonly actor?: string | undefined;
  readonly reason?: string | undefined;
  /** Attempts it took, and how long the last one was. */
  readonly attempts?: number | undefined;
  readonly tookMs?: number | undefined;
}

/** Why a saga does not go on, as it stands in the journal. */
export interface Failure {
  readonly code: string;
  readonly detail: string;
}

/** What the journal of a saga says so far. */
export interface Progress {
  /** The number of entries. */
  readonly pos: number;
  readonly state: Exclude<SagaState, 'waiting'>;
  readonly direction: 'forward' | 'backward';
  /** Index of the step to be done, or to be taken back; the number of steps, or -1, when there is none left. */
  readonly next: number;
  /** Outputs by step. */
  readonly results: Readonly<Record<string, unknown>>;
  /** Why it turned back or waits. */
  readonly failure: Failure | undefined;
}

/** Before the first entry. */
export const initialProgress: Progress = {
  pos: 0,
  state: 'running',
  direction: 'forward',
  next: 0,
  results: {},
  failure: undefined,
};

type Steps = readonly Pick<Step, 'name' | 'kind'>[];

/** The next step at or before `from` that can be taken back; -1 when there is none. */
const undoable = (steps: Steps, from: number): number => {
  let at = from;
  while (at >= 0 && steps[at]?.kind !== 'compensatable') at -= 1;
  return at;
};

const forwardTo = (steps: Steps, next: number): Pick<Progress, 'state' | 'direction' | 'next'> => ({
  state: next >= steps.length ? 'done' : 'running',
  direction: 'forward',
  next,
});

const backTo = (steps: Steps, from: number): Pick<Progress, 'state' | 'direction' | 'next'> => {
  const next = undoable(steps, from);
  return { state: next < 0 ? 'compensated' : 'compensating', direction: 'backward', next };
};

const parse = (data: string | undefined): unknown => (data === undefined ? undefined : JSON.parse(data));

/** Entries that are about the saga as a whole. */
const free: ReadonlySet<EntryKind> = new Set<EntryKind>(['cancelled', 'forced', 'killed']);

/** What the journal says after one more entry. Pure, so that every replica sees the same. */
export const evolve = (steps: Steps, before: Progress, entry: Entry): Progress => {
  const { next } = before;
  if (!free.has(entry.kind) && entry.step !== steps[next]?.name)
    throw new Error(
      `the journal goes on with step "${entry.step}" where the definition has "${steps[next]?.name}": steps were changed without a new version`,
    );
  const progress = { ...before, pos: before.pos + 1 };
  const because = (fallback: string): Failure =>
    (parse(entry.data) as Failure | undefined) ?? { code: fallback, detail: entry.reason ?? '' };
  switch (entry.kind) {
    case 'skipped':
    case 'done': {
      if (before.direction === 'backward') return { ...progress, ...backTo(steps, next - 1) };
      const results = { ...before.results, [entry.step]: parse(entry.data) };
      return { ...progress, ...forwardTo(steps, next + 1), results, failure: undefined };
    }
    case 'undone':
      return { ...progress, ...backTo(steps, next - 1) };
    case 'refused':
      // An earlier attempt may have happened without an answer; a pivot's word is final either way.
      return {
        ...progress,
        ...backTo(steps, (entry.attempts ?? 1) > 1 ? next : next - 1),
        failure: because('refused'),
      };
    case 'given_up':
    case 'cancelled':
      // What was never attempted needs no compensation; anything else may have happened.
      return {
        ...progress,
        ...backTo(steps, entry.attempts === 0 ? next - 1 : next),
        failure: because(entry.kind),
      };
    case 'parked':
      return { ...progress, state: 'parked', failure: because('parked') };
    case 'retried':
      return {
        ...progress,
        failure: undefined,
        state: before.direction === 'forward' ? 'running' : 'compensating',
      };
    case 'forced':
      return { ...progress, state: 'done', failure: undefined };
    case 'killed':
      return { ...progress, state: 'killed', failure: because('killed') };
  }
};

/** What a whole journal says. */
export const replay = (steps: Steps, entries: readonly Entry[]): Progress =>
  entries.reduce((progress, entry) => evolve(steps, progress, entry), initialProgress);
