import { stepOfKey } from '@skein/saga/definition';
import { type Accepted, type Decision, refuse, unchanged } from '../domain/decision.ts';
import type { SpaceState, StepRow } from '../domain/state.ts';
import type { Unit } from './writer.ts';

const withStep = <R>(decision: Accepted<R>, row: StepRow): Accepted<R> => ({
  ...decision,
  writes: { ...decision.writes, steps: [row] },
});

/**
 * The unit as a step of a saga: done once per key, what it gave is stored with its effect. `step_undone` when it was
 * taken back before it came. The answer goes through JSON.
 */
export const stepOnce = <R>(unit: Unit<R>, key: string | undefined): Unit<R> => {
  const step = stepOfKey(key);
  return {
    ...unit,
    needs: { ...unit.needs, step },
    decide: (state, nowMs) => {
      const known = state.steps.get(step);
      if (known?.undone) return refuse('step_undone', 'This step was taken back before it came');
      if (known) return unchanged((JSON.parse(known.result ?? '{}') as { value: R }).value);
      const decision = unit.decide(state, nowMs);
      if ('refused' in decision) return decision;
      const result = JSON.stringify({ value: decision.result });
      return withStep(decision, { key: step, result, undone: false, stored: false });
    },
  };
};

/**
 * Takes a step back, once. What never happened leaves a tombstone that refuses the step if it still comes, and
 * `undo` does not decide; else it is given what the step gave.
 */
export const stepUndone = <R>(
  unit: Omit<Unit<void>, 'decide'>,
  key: string | undefined,
  undo: (state: SpaceState, result: R, nowMs: number) => Decision<unknown>,
): Unit<void> => {
  const step = stepOfKey(key);
  return {
    ...unit,
    needs: { ...unit.needs, step },
    decide: (state, nowMs) => {
      const known = state.steps.get(step);
      if (known?.undone) return unchanged(undefined);
      const row: StepRow = { key: step, result: null, undone: true, stored: known?.stored ?? false };
      if (!known) return withStep(unchanged(undefined), row);
      const decision = undo(state, (JSON.parse(known.result ?? '{}') as { value: R }).value, nowMs);
      return 'refused' in decision ? decision : withStep({ ...decision, result: undefined }, row);
    },
  };
};
