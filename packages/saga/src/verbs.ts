import { AppError } from '@skein/contracts';
import { toData } from './attempt.ts';
import type { SagaRow } from './claims.ts';
import type { SagaDefinition } from './definition.ts';
import { sagaKeepMs } from './schema.ts';
import { type Entry, endStates, type Progress } from './state.ts';

/** What a person can do about a saga. */
export type Verb =
  /** Take everything back; only before the pivot. */
  | { readonly kind: 'cancel' }
  /** The same for a parked saga; at the pivot it says that the pivot has not happened, which only a person can know. */
  | { readonly kind: 'compensate' }
  /** Do not try a failing step again before somebody says so; for a compensation that nothing but a person can mend. */
  | { readonly kind: 'park' }
  /** Try the step again, now. */
  | { readonly kind: 'retry' }
  /** Go on as if the step had given `value`, or as if it had been taken back. */
  | { readonly kind: 'skip'; readonly value?: unknown }
  /** Declare it done as it stands. */
  | { readonly kind: 'force_complete' }
  /** End it as it stands; nothing is taken back. */
  | { readonly kind: 'kill' };

/** Every kind of verb. */
export const verbKinds = [
  'cancel',
  'compensate',
  'park',
  'retry',
  'skip',
  'force_complete',
  'kill',
] as const satisfies readonly Verb['kind'][];

/** Who does it, and why; both are written into the journal. */
export interface Operator {
  readonly actor: string;
  readonly reason: string;
}

/** Longest name of an actor and longest reason. */
const maxActor = 200;
const maxReason = 500;

/** Checks who and why; `invalid_request`. */
export const checkOperator = ({ actor, reason }: Operator): void => {
  const errors = [
    { path: 'actor', text: actor, most: maxActor },
    { path: 'reason', text: reason, most: maxReason },
  ]
    .filter(({ text, most }) => text.trim() === '' || text.length > most)
    .map(({ path, most }) => ({ path, message: `must be 1 to ${most} characters long` }));
  if (errors.length > 0) throw new AppError('invalid_request', 'Say who does it and why', { errors });
};

const refuse = (why: string): never => {
  throw new AppError('saga_state', why);
};

/** A saga as a verb meets it. `progress` is undefined when this release has no definition of it. */
export interface Situation {
  readonly row: SagaRow;
  readonly progress: Progress | undefined;
  readonly definition: SagaDefinition | undefined;
  readonly nowMs: number;
}

/** Nobody is at it: it is parked, or waits after a failed attempt. */
const isIdle = ({ state, owner, attempts }: SagaRow): boolean =>
  state === 'parked' || (owner === null && attempts > 0);

/** The line a verb writes into the journal; `saga_state` with the reason when it is not allowed now. Pure. */
export const verbEntry = (verb: Verb, by: Operator, situation: Situation): Entry => {
  const { row, progress, definition } = situation;
  if (endStates.has(row.state)) refuse(`The saga has ended: ${row.state}`);
  if (verb.kind === 'kill') {
    const step = definition?.steps[progress?.next ?? -1]?.name ?? '';
    return { kind: 'killed', step, ...by };
  }
  if (!progress || !definition)
    return refuse(
      `This release has no definition ${row.name}@${row.version} that fits: ask one that has it, or kill the saga`,
    );
  const step = definition.steps[progress.next];
  if (!step) return refuse('The saga is about to end');
  const backward = progress.direction === 'backward';
  const inPivot = step.kind !== 'compensatable';
  const entry = { step: step.name, ...by };
  const tooOld = situation.nowMs - row.createdAt.getTime() > sagaKeepMs;

  switch (verb.kind) {
    case 'cancel':
      if (row.state === 'waiting') return { kind: 'cancelled', ...entry, attempts: 0 };
      if (backward) refuse('The saga is being taken back already');
      if (inPivot) refuse(`The saga is past the point of no return: step ${step.name} may have happened`);
      return { kind: 'cancelled', ...entry };
    case 'compensate':
      if (row.state !== 'parked') refuse('The saga is not parked: cancel it');
      if (backward) refuse('The saga is being taken back already: retry or skip the step');
      if (step.kind === 'retriable') refuse('The saga is past the point of no return');
      return { kind: 'cancelled', ...entry };
    case 'park':
      if (row.state === 'parked') refuse('The saga is parked already');
      if (!isIdle(row)) refuse('An attempt is under way, or none has failed yet');
      return { kind: 'parked', ...entry };
    case 'retry':
      if (!isIdle(row)) refuse('An attempt is under way, or none has failed yet');
      if (tooOld)
        refuse('Participants have forgotten the steps of a saga this old: skip, complete or kill it');
      return { kind: 'retried', ...entry };
    case 'skip': {
      if (!isIdle(row)) refuse('An attempt is under way, or none has failed yet');
      if (backward || !step.output) return { kind: 'skipped', ...entry };
      const parsed = step.output.safeParse(verb.value);
      if (!parsed.success)
        throw new AppError('invalid_request', `The value is not what step ${step.name} gives`, {
          errors: parsed.error.issues
            .slice(0, 20)
            .map(({ path, message }) => ({ path: ['value', ...path].join('.'), message })),
        });
      return { kind: 'skipped', ...entry, data: toData(parsed.data, 'The value') };
    }
    case 'force_complete':
      if (!isIdle(row)) refuse('An attempt is under way, or none has failed yet');
      if (backward) refuse('The saga is being taken back: skip the steps that cannot be, or kill it');
      return { kind: 'forced', ...entry };
  }
};
