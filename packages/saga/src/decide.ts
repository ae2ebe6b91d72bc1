import { fullJitter } from '@skein/resilience';
import type { Step } from './definition.ts';
import type { Entry, Failure } from './state.ts';
import type { Direction } from './step-key.ts';

/** How one attempt at a step went. */
export type Attempted =
  /** `data` is the output as JSON text. */
  | { readonly kind: 'ok'; readonly data: string | undefined }
  /** The participant said no, having done nothing. */
  | { readonly kind: 'refused'; readonly failure: Failure }
  /** Anything else, a timeout above all: it may have happened. */
  | { readonly kind: 'unknown'; readonly failure: Failure };

/** What to do about it. */
export type Decision =
  | { readonly kind: 'write'; readonly entry: Entry }
  | { readonly kind: 'again' }
  | { readonly kind: 'defer'; readonly afterMs: number };

/** The facts of an attempt. */
export interface AttemptFacts {
  readonly step: Step;
  readonly direction: Direction;
  /** This one included, and one more for each owner who may have made some without a trace. */
  readonly attempts: number;
  readonly tookMs: number;
  /** In [0, 1). */
  readonly random: number;
}

/** What follows from an attempt: a line in the journal, another attempt at once, or one later. Pure. */
export const decide = (attempted: Attempted, facts: AttemptFacts): Decision => {
  const { step, direction, attempts, tookMs, random } = facts;
  const write = (kind: Entry['kind'], data: string | undefined): Decision => ({
    kind: 'write',
    entry: { kind, step: step.name, data, attempts, tookMs },
  });
  if (attempted.kind === 'ok') return write(direction === 'do' ? 'done' : 'undone', attempted.data);
  const failure = JSON.stringify(attempted.failure);
  if (attempted.kind === 'refused' && direction === 'do') return write('refused', failure);
  const { immediate, attempts: most, baseMs, capMs } = step.retry;
  if (direction === 'do' && attempts >= most)
    return write(step.onGivenUp === 'park' ? 'parked' : 'given_up', failure);
  if (attempts < immediate) return { kind: 'again' };
  return {
    kind: 'defer',
    afterMs: Math.round(fullJitter({ baseMs, capMs }, attempts - immediate + 1, random)),
  };
};
