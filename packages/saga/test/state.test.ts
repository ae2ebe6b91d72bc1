import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StepKind } from '../src/definition.ts';
import { type Entry, type EntryKind, entryKinds, initialProgress, replay } from '../src/state.ts';

const steps: { name: string; kind: StepKind }[] = [
  { name: 'reserve', kind: 'compensatable' },
  { name: 'hold', kind: 'compensatable' },
  { name: 'charge', kind: 'pivot' },
  { name: 'ship', kind: 'retriable' },
];
const entry = (kind: EntryKind, step: string, rest: Partial<Entry> = {}): Entry => ({ kind, step, ...rest });
const done = (...names: string[]) => names.map((name) => entry('done', name, { data: JSON.stringify(name) }));
const after = (...entries: Entry[]) => replay(steps, entries);

describe('what a journal says', () => {
  it('begins with the first step and ends behind the last one', () => {
    expect(after()).toEqual(initialProgress);
    expect(after(...done('reserve', 'hold', 'charge', 'ship'))).toMatchObject({
      state: 'done',
      results: { reserve: 'reserve', hold: 'hold', charge: 'charge', ship: 'ship' },
    });
  });

  it('takes back in reverse what was done before a refusal, and nothing else', () => {
    const refused = entry('refused', 'charge', { data: '{"code":"forbidden","detail":"no"}', attempts: 1 });
    expect(after(...done('reserve', 'hold'), refused)).toMatchObject({
      state: 'compensating',
      next: 1,
      failure: { code: 'forbidden' },
    });
    expect(after(...done('reserve', 'hold'), refused, entry('undone', 'hold'))).toMatchObject({ next: 0 });
    expect(
      after(...done('reserve', 'hold'), refused, entry('undone', 'hold'), entry('undone', 'reserve')),
    ).toMatchObject({ state: 'compensated', next: -1 });
  });

  it('takes back the refused step too when an earlier attempt may have happened', () => {
    expect(after(...done('reserve'), entry('refused', 'hold', { attempts: 1 }))).toMatchObject({ next: 0 });
    expect(after(...done('reserve'), entry('refused', 'hold', { attempts: 2 }))).toMatchObject({ next: 1 });
  });

  it('takes back the step that was given up: nobody knows whether it happened', () => {
    expect(after(...done('reserve'), entry('given_up', 'hold'))).toMatchObject({
      state: 'compensating',
      next: 1,
    });
  });

  it('has nothing to take back for a first step that was refused', () => {
    expect(after(entry('refused', 'reserve', { attempts: 1 }))).toMatchObject({ state: 'compensated' });
  });

  it('goes on where it was parked, in the same direction', () => {
    expect(after(...done('reserve'), entry('parked', 'hold'), entry('retried', 'hold'))).toMatchObject({
      state: 'running',
      next: 1,
    });
    const back = [...done('reserve'), entry('given_up', 'hold'), entry('parked', 'hold')];
    expect(after(...back)).toMatchObject({ state: 'parked', direction: 'backward' });
    expect(after(...back, entry('retried', 'hold'))).toMatchObject({ state: 'compensating', next: 1 });
    expect(after(...back, entry('skipped', 'hold'))).toMatchObject({ state: 'compensating', next: 0 });
  });

  it('does not fit a definition whose steps were changed without a new version', () => {
    expect(() => after(...done('hold'))).toThrow('without a new version');
  });

  it('never undoes a step twice, nor one that comes after the pivot, however it came about', () => {
    const kinds = fc.constantFrom(...entryKinds);
    fc.assert(
      fc.property(fc.array(fc.tuple(kinds, fc.integer({ min: 0, max: 3 })), { maxLength: 30 }), (moves) => {
        let entries: Entry[] = [];
        const undone: string[] = [];
        for (const [kind, attempts] of moves) {
          const before = replay(steps, entries);
          const step = steps[before.next];
          if (!step || ['done', 'compensated', 'killed'].includes(before.state)) break;
          // What the orchestrator and the verbs would write in this direction.
          const backward = before.direction === 'backward';
          const fits = backward
            ? ['undone', 'parked', 'retried', 'skipped', 'killed']
            : ['done', 'refused', 'parked', 'retried', 'skipped', 'forced', 'killed'];
          const early = !backward && step.kind === 'compensatable' ? ['given_up', 'cancelled'] : [];
          if (![...fits, ...early].includes(kind)) continue;
          if (kind === 'refused' && step.kind === 'retriable') continue;
          if (backward && ['undone', 'skipped'].includes(kind)) undone.push(step.name);
          entries = [...entries, entry(kind, step.name, { attempts })];
        }
        expect(new Set(undone).size).toBe(undone.length);
        expect(undone.every((name) => name === 'reserve' || name === 'hold')).toBe(true);
        expect([...undone].sort((a, b) => (a === 'hold' ? -1 : b === 'hold' ? 1 : 0))).toEqual(undone);
      }),
    );
  });
});
