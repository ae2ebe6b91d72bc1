import { describe, expect, it } from 'vitest';
import { type Attempted, type AttemptFacts, decide } from '../src/decide.ts';
import type { StepKind } from '../src/definition.ts';

const failure = { code: 'unavailable', detail: 'away' };
const unknown: Attempted = { kind: 'unknown', failure };
const refused: Attempted = { kind: 'refused', failure };

const facts = (
  attempts: number,
  over: Partial<AttemptFacts> & { readonly kind?: StepKind } = {},
): AttemptFacts => ({
  step: {
    name: 'reserve',
    kind: over.kind ?? 'compensatable',
    output: undefined,
    action: async () => {},
    compensate: undefined,
    retry: { immediate: 3, attempts: 6, baseMs: 1_000, capMs: 3_000 },
    timeoutMs: 1_000,
    refuseOn: [],
    onGivenUp: over.kind === undefined || over.kind === 'compensatable' ? 'compensate' : 'park',
  },
  direction: 'do',
  attempts,
  tookMs: 7,
  random: 0.5,
  ...over,
});

describe('after an attempt', () => {
  it('that succeeded the output is written', () => {
    expect(decide({ kind: 'ok', data: '1' }, facts(2))).toEqual({
      kind: 'write',
      entry: { kind: 'done', step: 'reserve', data: '1', attempts: 2, tookMs: 7 },
    });
    expect(decide({ kind: 'ok', data: undefined }, facts(1, { direction: 'undo' }))).toMatchObject({
      entry: { kind: 'undone' },
    });
  });

  it('whose outcome is not known it is made again at once, three times in all, then after a wait', () => {
    expect(decide(unknown, facts(1))).toEqual({ kind: 'again' });
    expect(decide(unknown, facts(2))).toEqual({ kind: 'again' });
    expect(decide(unknown, facts(3))).toEqual({ kind: 'defer', afterMs: 500 });
    expect(decide(unknown, facts(4))).toEqual({ kind: 'defer', afterMs: 1_000 });
    expect(decide(unknown, facts(5))).toEqual({ kind: 'defer', afterMs: 1_500 });
  });

  it('the wait is anywhere below its bound, so that those who failed together come back apart', () => {
    expect(decide(unknown, facts(3, { random: 0 }))).toEqual({ kind: 'defer', afterMs: 0 });
    expect(decide(unknown, facts(3, { random: 0.999 }))).toEqual({ kind: 'defer', afterMs: 999 });
  });

  it('that was the last one a compensatable step turns the saga back, any other waits for an operator', () => {
    const given = { step: 'reserve', data: JSON.stringify(failure), attempts: 6, tookMs: 7 };
    expect(decide(unknown, facts(6))).toEqual({ kind: 'write', entry: { kind: 'given_up', ...given } });
    for (const kind of ['pivot', 'retriable'] as const)
      expect(decide(unknown, facts(6, { kind }))).toEqual({
        kind: 'write',
        entry: { kind: 'parked', ...given },
      });
  });

  it('that was refused there is no other', () => {
    expect(decide(refused, facts(1))).toMatchObject({
      kind: 'write',
      entry: { kind: 'refused', attempts: 1 },
    });
  });

  it('at a compensation it is made again for ever, with a bounded wait, whatever the participant says', () => {
    for (const attempts of [6, 60, 6_000_000])
      for (const attempted of [unknown, refused])
        expect(decide(attempted, facts(attempts, { direction: 'undo' }))).toEqual({
          kind: 'defer',
          afterMs: 1_500,
        });
  });
});
