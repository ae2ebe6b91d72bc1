import type { Json } from '@skein/sync-core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { collectionPolicies } from '../src/adapters/collection-policies.ts';
import { type Mutated, mutate, type ReceivedMutation } from '../src/domain/mutate.ts';
import { sessionOf } from '../src/domain/session.ts';
import { evolve, keyOf, type SpaceState } from '../src/domain/state.ts';
import { aSpace } from './decide.ts';

const { rulesOf } = collectionPolicies();
const hlc = (ms: number) => `${ms.toString(16).padStart(12, '0')}-0000-phone`;
const set = (
  seq: number,
  id: string,
  key: string,
  value: Json,
  baseVersion = 1,
  collection = 'notes',
): ReceivedMutation => ({
  seq,
  hash: `${id}/${key}/${seq}`,
  mutation: {
    ...{ seq, collection, id, baseVersion, hlc: hlc(seq) },
    ops: [{ op: 'set', path: key === '' ? [] : [key], value }],
  },
});

/** Takes a batch as the writer does: what was decided is the state of the next one. */
const take = (state: SpaceState, device: string, mutations: readonly ReceivedMutation[]): Mutated => {
  let id = 0;
  const decision = mutate(state, {
    ...{ userId: 'ed', device, mutations, nowMs: 1_000_000 },
    actor: { kind: 'user', user: 'ed', device, platform: 'web' },
    newId: () => `conflict-${++id}`,
    hashOf: (value) => JSON.stringify(value).length.toString(),
    rulesOf,
  });
  if ('refused' in decision) throw new Error(decision.refused.code);
  evolve(state, decision.events.length, decision.writes);
  return decision.result;
};
const parsed = ({ results }: Mutated) => results.map((one) => JSON.parse(one));

/** Documents of this many bytes at version 2: whoever edits version 1 merges and is told the value. */
const withDocuments = (ids: readonly string[], bytes: number): SpaceState => {
  const state = aSpace();
  for (const [at, id] of ids.entries()) {
    take(state, 'other', [set(2 * at + 1, id, '', { text: 'x'.repeat(bytes) }, 0)]);
    take(state, 'other', [set(2 * at + 2, id, 'm', 1)]);
  }
  return state;
};

const upTo = (count: number, make: (n: number) => ReceivedMutation) =>
  Array.from({ length: count }, (_, n) => make(n + 1));

describe('a batch of mutations', () => {
  it('of a device that has seen another log is refused whole, also where its numbers would fit', () => {
    const state = aSpace();
    take(state, 'phone', [set(1, 'a', 'k', 1, 0)]);
    const command = {
      ...{ userId: 'ed', device: 'phone', nowMs: 1_000_000, rulesOf, newId: () => 'id', hashOf: () => 'h' },
      actor: { kind: 'user', user: 'ed', device: 'phone', platform: 'web' },
    } as const;
    const late = (epoch: string | undefined, seq: number) =>
      mutate(state, { ...command, epoch, mutations: [set(seq, 'a', 'k', 2, 1)] });
    for (const seq of [1, 2, 3])
      expect(late('before-the-restore', seq)).toMatchObject({
        refused: { code: 'position_lost', meta: { epoch: state.epoch, head: String(state.head) } },
      });
    expect(late(state.epoch, 2)).toMatchObject({ result: { lastSeq: 2 } });
    expect(late(undefined, 2)).toMatchObject({ result: { lastSeq: 2 } });
  });

  it('tells the value of a document once, with the last of its results that has one', () => {
    const state = withDocuments(['a', 'b'], 10);
    const results = parsed(
      take(state, 'phone', [
        set(1, 'a', 'k1', 1),
        set(2, 'b', 'k1', 1),
        set(3, 'a', 'k2', 2),
        set(4, 'a', 'k3', 3),
      ]),
    );
    expect(results.map(({ outcome }) => outcome)).toEqual(Array(4).fill('merged'));
    expect(results.map((one) => 'value' in one)).toEqual([false, true, false, true]);
    expect(results[3].value).toMatchObject({ k1: 1, k2: 2, k3: 3, m: 1 });
  });

  it('ends where its answer would not fit a frame, and goes on in the next batch', () => {
    const ids = ['a', 'b', 'c', 'd', 'e', 'f'];
    const state = withDocuments(ids, 240_000);
    const queue = ids.map((id, at) => set(at + 1, id, 'k', 1));
    let { lastSeq, results } = take(state, 'phone', queue);
    expect(lastSeq).toBeLessThan(ids.length);
    const rounds = [results];
    while (lastSeq < ids.length) {
      ({ lastSeq, results } = take(state, 'phone', queue.slice(lastSeq)));
      rounds.push(results);
    }
    for (const round of rounds) expect(Buffer.byteLength(round.join())).toBeLessThan(900_000);
    expect(rounds.flat().map((one) => JSON.parse(one).outcome)).toEqual(Array(6).fill('merged'));
  });

  it('ends where its events would be too much: a small edit of a large document writes all of it', () => {
    const state = withDocuments(['a'], 240_000);
    const { lastSeq } = take(
      state,
      'phone',
      upTo(30, (n) => set(n, 'a', `k${n}`, 1)),
    );
    expect(lastSeq).toBeGreaterThan(1);
    expect(lastSeq).toBeLessThan(10);
  });

  it('that was answered already is answered within a frame again', () => {
    const ids = ['a', 'b', 'c', 'd', 'e', 'f'];
    const state = withDocuments(ids, 240_000);
    const queue = ids.map((id, at) => set(at + 1, id, 'k', 1));
    for (const one of queue) take(state, 'phone', [one]);
    const { results, lastSeq } = take(state, 'phone', queue);
    expect(Buffer.byteLength(results.join())).toBeLessThan(900_000);
    expect(results.length).toBeGreaterThan(0);
    expect(JSON.parse(results[0] ?? '')).toMatchObject({ outcome: 'duplicate', original: { seq: 1 } });
    expect(lastSeq).toBe(6);
  });

  it('says of a mutation that stands in it twice what became of it', () => {
    const state = withDocuments(['a'], 10);
    const [first, second] = parsed(take(state, 'phone', [set(1, 'a', 'k', 1), set(1, 'a', 'k', 1)]));
    expect(second).toEqual({ seq: 1, outcome: 'duplicate', original: first });
  });

  it('has the same outcomes and the same end however it is cut', () => {
    const change = fc.record({
      id: fc.constantFrom('a', 'b'),
      key: fc.constantFrom('', 'm', 'n'),
      bytes: fc.constantFrom(1, 120_000, 250_000, 300_000),
      baseVersion: fc.integer({ min: 0, max: 4 }),
    });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 14 }), (changes) => {
        const queue = changes.map(({ id, key, bytes, baseVersion }, at) =>
          set(at + 1, id, key, key === '' ? { text: 'y'.repeat(bytes) } : 'y'.repeat(bytes), baseVersion),
        );
        const [whole, single] = [withDocuments(['a'], 1_000), withDocuments(['a'], 1_000)];
        const outcomes: unknown[] = [];
        for (let lastSeq = 0; lastSeq < queue.length; ) {
          const taken = take(whole, 'phone', queue.slice(lastSeq));
          expect(Buffer.byteLength(taken.results.join())).toBeLessThan(900_000);
          expect(taken.lastSeq).toBeGreaterThan(lastSeq);
          outcomes.push(...parsed(taken).map(({ outcome, version, offset }) => [outcome, version, offset]));
          lastSeq = taken.lastSeq;
        }
        expect(outcomes).toEqual(
          queue.flatMap((one) =>
            parsed(take(single, 'phone', [one])).map(({ outcome, version, offset }) => [
              outcome,
              version,
              offset,
            ]),
          ),
        );
        expect([...whole.documents]).toEqual([...single.documents]);
      }),
      { numRuns: 30 },
    );
  });
});

describe('the session in mutations', () => {
  const persona = (seq: number, value: Json) => set(seq, 'current', 'persona', value, 0, 'session');

  it.each([['a\u0000b'], ['\ud800'], [''], ['x'.repeat(65)], ['with space'], [7], [null]])(
    'refuses %j as a persona, as persona_change does',
    (value) => {
      const state = aSpace();
      expect(parsed(take(state, 'phone', [persona(1, value)]))).toEqual([
        { seq: 1, outcome: 'rejected', code: 'invalid_value', path: '/persona' },
      ]);
      expect(state.documents.size).toBe(0);
    },
  );

  it('reads a persona nobody may have as the default, wherever it came from', () => {
    const state = aSpace();
    take(state, 'phone', [persona(1, 'ok')]);
    const key = keyOf('session', 'current');
    const row = state.documents.get(key);
    if (!row) throw new Error('the session was written');
    expect(sessionOf(state).persona).toBe('ok');
    state.documents.set(key, { ...row, value: JSON.stringify({ persona: 'a\u0000b' }) });
    expect(sessionOf(state).persona).toBe('cruz');
  });
});
