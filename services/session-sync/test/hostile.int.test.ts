import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { personalSpaceId } from '../src/app/personal-space.ts';
import { type Running, startOnNewDatabase } from './harness.ts';
import { hlc, set, writing } from './writing.ts';

let sync: Running;
beforeAll(async () => {
  sync = await startOnNewDatabase();
});
afterAll(() => sync.stop());

const { mutate, logOf } = writing(() => sync);

const outcomes = ['applied', 'merged', 'rejected', 'conflict', 'stale', 'duplicate'];
const year = 365 * 86_400_000;

/** Any JSON, and what is known to hurt: prototypes, huge numbers, half characters, zero characters. */
const odd = fc.oneof(
  fc.jsonValue({ maxDepth: 4 }),
  fc.constantFrom<unknown>(
    ...[2 ** 53, -(2 ** 53), 2 ** 53 + 2, 1e308, -1e308, -0, '\u0000', '\ud800', '__proto__', 'constructor'],
    ...[[], {}, { length: 3 }, [[[[]]]], null, true, '', ' '],
  ),
);
const key = fc.oneof(
  fc.string({ maxLength: 5 }),
  fc.constantFrom('__proto__', 'prototype', 'title', 'tags', '0', '\u0000', 'k'.repeat(300)),
);
/** What is right but for a field or two, so that it gets as far as it can. */
const mostly = <T>(right: fc.Arbitrary<T>, wrong: fc.Arbitrary<unknown>, weight = 30) =>
  fc.oneof({ weight, arbitrary: right as fc.Arbitrary<unknown> }, { weight: 1, arbitrary: wrong });

const op = fc.record({
  op: mostly(fc.constantFrom('set', 'set', 'unset', 'add', 'remove', 'increment', 'delete'), odd),
  path: mostly(
    fc.constantFrom(['tags'], ['title'], ['a'], ['a', 'tags'], ['tags', '0'], []),
    fc.array(key, { maxLength: 10 }),
  ),
  value: fc.oneof(fc.integer(), odd, fc.dictionary(key, odd, { maxKeys: 4 })),
});
const mutation = fc.record({
  collection: mostly(
    fc.constantFrom('task', 'session', 'knowledge_base', 'knowledge_base', 'user_preferences', '*'),
    odd,
  ),
  id: mostly(fc.constantFrom('a', 'a', 'current', '../b', '__proto__'), odd),
  baseVersion: mostly(fc.nat(3), odd),
  ops: mostly(
    fc.array(op, { minLength: 1, maxLength: 3 }),
    fc.oneof(fc.array(op, { minLength: 99, maxLength: 103 }), odd),
  ),
  hlc: mostly(
    fc.constantFrom(hlc(5), hlc(Date.now() + year), `ffffffffffff-ffff-${'d'.repeat(200)}`),
    fc.oneof(fc.constantFrom('0-0-', '00000000000f-0000-\u0000', '00000000000f-0000-\ud800'), odd),
  ),
});

describe('whatever a device sends as a mutation', () => {
  it('is answered with a result and a code, and the next one is taken', async () => {
    let person = 0;
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 8 }), async (bodies) => {
        // A person for every run, so that a failure can be repeated by itself.
        person += 1;
        const user = `fuzz-${person}`;
        const there = ['task', 'knowledge_base', 'user_preferences'].map((collection, at) =>
          set(at + 1, { tags: ['x'], title: 'y' }, { collection, field: 'a' }),
        );
        await mutate(user, 'other', [
          ...there,
          ...there.map((one) => ({
            ...one,
            seq: one.seq + 3,
            ops: [{ op: 'set', path: ['tags'], value: [1] }],
          })),
        ]);
        const sent = bodies.map((body, at) => ({ ...body, seq: at + 1 }));
        const results: { seq: number; outcome: string; code?: string }[] = [];
        while (results.length < sent.length) {
          const answer = await mutate(user, 'phone', sent.slice(results.length));
          expect(answer.results.length).toBeGreaterThan(0);
          results.push(...answer.results);
        }
        expect(results.map(({ seq }) => seq)).toEqual(sent.map(({ seq }) => seq));
        for (const { outcome, code } of results) {
          expect(outcomes).toContain(outcome);
          if (outcome === 'rejected') expect(code).toMatch(/^[a-z_]+$/);
          seen.add(code ?? outcome);
        }
        const next = await mutate(user, 'phone', [set(sent.length + 1, 'fine', { id: 'fine' })]);
        expect(next.results).toMatchObject([{ outcome: 'applied' }]);
        // What was written can be read, and says the same again.
        const { events } = await logOf(user);
        expect(JSON.stringify(events)).not.toContain('"__proto__":');
        const again = await mutate(user, 'phone', sent.slice(0, 1));
        expect(again.results).toMatchObject([{ outcome: 'duplicate', original: results[0] }]);
      }),
      { numRuns: 150 },
    );
    // Much of it got as far as the document.
    for (const one of ['applied', 'merged', 'invalid_request']) expect([...seen]).toContain(one);
  }, 120_000);

  it('is answered with an error that says what to do when it is no list of mutations', async () => {
    for (const list of [
      [],
      [null],
      [7],
      [{}],
      [{ seq: 0 }],
      [{ seq: 1.5 }],
      [{ seq: 2 ** 53 }],
      [{ seq: '1' }],
    ])
      await expect(mutate('listless', 'phone', list)).rejects.toMatchObject({ code: 'invalid_request' });
    const many = Array.from({ length: 101 }, (_, at) => set(at + 1, 'x'));
    await expect(mutate('listless', 'phone', many)).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(mutate('listless', 'phone', [set(2, 'x'.repeat(2_000_000))])).rejects.toMatchObject({
      code: 'invalid_request',
    });
    expect((await mutate('listless', 'phone', [set(1, 'x')])).results).toMatchObject([
      { outcome: 'applied' },
    ]);
  });

  it('costs one refusal when it is too much: 10,000 operations, a value of 1 MB, a wall of nesting', async () => {
    let nested: unknown = 0;
    for (let depth = 0; depth < 2_000; depth += 1) nested = [nested];
    const operation = { op: 'set', path: ['x'], value: 1 };
    const { results } = await mutate('greedy', 'phone', [
      { ...set(1, 0), ops: Array(10_000).fill(operation) },
      set(2, 'x'.repeat(1_000_000)),
    ]);
    expect(results).toMatchObject([
      { outcome: 'rejected', code: 'invalid_request', path: 'ops' },
      { outcome: 'rejected', code: 'too_large' },
    ]);
    const deep = await mutate('greedy', 'phone', [set(3, nested), set(4, 'fine')]);
    expect(deep.results).toMatchObject([{ code: 'invalid_request' }, { outcome: 'applied' }]);
  });

  it('never counts beyond what a number can hold', async () => {
    const increment = (seq: number, value: number, baseVersion: number) => ({
      ...{ ...set(seq, 0), baseVersion },
      ops: [{ op: 'increment', path: ['n'], value }],
    });
    const most = Number.MAX_SAFE_INTEGER;
    const { results } = await mutate('counter', 'phone', [
      increment(1, most, 0),
      increment(2, 1, 1),
      increment(3, most + 1, 1),
      increment(4, -most, 1),
      increment(5, -most, 2),
      increment(6, -1, 3),
    ]);
    expect(results.map((one: { code?: string; outcome: string }) => one.code ?? one.outcome)).toEqual([
      ...['applied', 'out_of_range', 'invalid_request', 'applied', 'applied', 'out_of_range'],
    ]);
  });

  it('with a clock a year ahead wins for a minute, not for a year', async () => {
    const now = Date.now();
    const write = (seq: number, value: string, ms: number) => set(seq, value, { hlc: hlc(ms) });
    await mutate('ahead', 'phone', [write(1, 'of next year', now + year)]);
    await mutate('ahead', 'laptop', [write(1, 'of now', now)]);
    expect((await mutate('ahead', 'tablet', [write(1, 'of soon', now + 120_000)])).results).toMatchObject([
      { outcome: 'merged', value: { title: 'of soon' } },
    ]);
  });

  it('names a device, and reaches nobody else’s: seqs, results and spaces are the person’s own', async () => {
    await mutate('victim', 'phone', [set(1, 'mine')]);
    // The same device id of another person is another device, with a queue of its own.
    await expect(mutate('forger', 'phone', [set(2, 'x')])).rejects.toMatchObject({
      ...{ code: 'expected_seq', meta: { expectedSeq: '1' } },
    });
    expect((await mutate('forger', 'phone', [set(1, 'mine')])).results).toMatchObject([
      { outcome: 'applied' },
    ]);
    await expect(mutate('forger', 'phone', [set(2, 'x')], personalSpaceId('victim'))).rejects.toMatchObject({
      code: 'not_found',
    });
    for (const space of ['nonsense', '', '00000000-0000-0000-0000-000000000000'])
      await expect(mutate('forger', 'phone', [set(2, 'x')], space)).rejects.toMatchObject({
        code: 'not_found',
      });
    for (const device of ['', 'x'.repeat(257), 'a\u0000b'])
      await expect(mutate('forger', device, [set(1, 'x')])).rejects.toMatchObject({
        code: 'invalid_request',
      });
    expect((await logOf('victim')).head).toBe(1);
  });

  it('does not hold up others, however expensive it is made', async () => {
    const wide = Object.fromEntries(Array.from({ length: 20_000 }, (_, n) => [`k${n}`, n]));
    await mutate('expensive', 'other', [set(1, wide, { field: 'all', collection: 'diagnosis_result' })]);
    const ops = Array.from({ length: 100 }, (_, n) => ({ op: 'set', path: ['all', `k${n}`], value: -n }));
    const batch = Array.from({ length: 100 }, (_, at) => ({
      ...set(at + 1, 0, { collection: 'diagnosis_result', baseVersion: 1 }),
      ops,
    }));
    const startedAt = performance.now();
    const slow = mutate('expensive', 'phone', batch);
    await mutate('bystander', 'phone', [set(1, 'x')]);
    const waitedMs = performance.now() - startedAt;
    const { lastSeq } = await slow;
    expect(lastSeq).toBeGreaterThan(0);
    expect(waitedMs).toBeLessThan(5_000);
  });
});
