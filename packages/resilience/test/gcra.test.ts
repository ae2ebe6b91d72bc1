import fc from 'fast-check';
import { expect, test } from 'vitest';
import { gcra } from '../src/index.ts';

const fivePerSecond = () => gcra({ limit: 5, periodMs: 1_000 });

test('a burst passes, the next call is told when to come back, and coming back then works', () => {
  const limiter = fivePerSecond();
  const verdicts = Array.from({ length: 6 }, () => limiter.take('a', 0));
  expect(verdicts.map(({ allowed }) => allowed)).toEqual([true, true, true, true, true, false]);
  expect(verdicts.map(({ remaining }) => remaining)).toEqual([4, 3, 2, 1, 0, 0]);
  expect(verdicts[5]?.retryAfterMs).toBe(200);
  expect(limiter.take('a', 199).allowed).toBe(false);
  expect(limiter.take('a', 200).allowed).toBe(true);
});

test('keys do not share their limits', () => {
  const limiter = gcra({ limit: 1, periodMs: 1_000 });
  expect(limiter.take('a', 0).allowed).toBe(true);
  expect(limiter.take('b', 0).allowed).toBe(true);
  expect(limiter.take('a', 0).allowed).toBe(false);
});

test('a dearer call takes more, and one dearer than the burst never passes', () => {
  const limiter = fivePerSecond();
  expect(limiter.take('a', 0, 3)).toEqual({ allowed: true, retryAfterMs: 0, remaining: 2 });
  expect(limiter.take('a', 0, 3)).toMatchObject({ allowed: false, retryAfterMs: 200 });
  expect(limiter.take('a', 0, 6)).toMatchObject({ allowed: false, retryAfterMs: Number.POSITIVE_INFINITY });
});

test('a refused call costs nothing', () => {
  const limiter = gcra({ limit: 1, periodMs: 1_000 });
  limiter.take('a', 0);
  for (let n = 0; n < 100; n += 1) limiter.take('a', 500);
  expect(limiter.take('a', 1_000).allowed).toBe(true);
});

test('memory is bounded: the keys unseen for longest are forgotten, the busy one keeps its limit', () => {
  const limiter = gcra({ limit: 1, periodMs: 60_000, maxKeys: 100 });
  limiter.take('busy', 0);
  for (let n = 0; n < 10_000; n += 1) {
    limiter.take(`stranger-${n}`, 1);
    expect(limiter.take('busy', 1).allowed).toBe(false);
  }
  expect(limiter.size).toBeLessThanOrEqual(100);
});

test('keys whose time has passed go away by themselves', () => {
  const limiter = gcra({ limit: 10, periodMs: 1_000 });
  for (let n = 0; n < 1_000; n += 1) limiter.take(`once-${n}`, 0);
  for (let n = 0; n < 1_000; n += 1) limiter.take('steady', 5_000 + n * 200);
  expect(limiter.size).toBe(1);
});

test('whatever the times, no window holds more than burst plus rate allow', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 300 }),
      (limit, burst, gaps) => {
        const limiter = gcra({ limit, periodMs: 1_000, burst });
        const passed: number[] = [];
        let now = 0;
        for (const gap of gaps) {
          now += gap;
          if (limiter.take('k', now).allowed) passed.push(now);
        }
        for (const [at, from] of passed.entries()) {
          const until = passed.slice(at);
          for (const [more, time] of until.entries()) {
            expect(more + 1).toBeLessThanOrEqual(burst + ((time - from) * limit) / 1_000 + 1e-6);
          }
        }
      },
    ),
    { numRuns: 200 },
  );
});

test('a limit that changes holds from the next call on, and nobody gets a fresh burst by it', () => {
  let limit = 10;
  const limiter = gcra(() => ({ limit, periodMs: 1_000 }));
  for (let n = 0; n < 10; n += 1) expect(limiter.take('k', 0).allowed).toBe(true);
  expect(limiter.take('k', 0).allowed).toBe(false);
  limit = 5;
  expect(limiter.take('k', 0).allowed).toBe(false);
  expect(limiter.take('other', 0).remaining).toBe(4);
  limit = 100;
  expect(limiter.take('k', 100).allowed).toBe(true);
});
