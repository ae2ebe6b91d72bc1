import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fullJitter, retryBudget } from '../src/index.ts';

test('waits grow to their cap and lie anywhere below it', () => {
  const bounds = [1, 2, 3, 4, 5].map((attempt) => fullJitter({ baseMs: 100, capMs: 1_000 }, attempt, 1));
  expect(bounds).toEqual([100, 200, 400, 800, 1_000]);
  expect(fullJitter({ baseMs: 100, capMs: 1_000 }, 3, 0)).toBe(0);
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 2_000 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (n, r) => {
        const wait = fullJitter({ baseMs: 50, capMs: 5_000 }, n, r);
        expect(wait).toBeGreaterThanOrEqual(0);
        expect(wait).toBeLessThanOrEqual(5_000);
      },
    ),
  );
});

test('a backend that is down gets at most five retries in all', () => {
  const budget = retryBudget();
  const retries = Array.from({ length: 1_000 }, () => budget.failed()).filter(Boolean).length;
  expect(retries).toBeLessThanOrEqual(5);
});

test('a backend that mostly works gets its retries', () => {
  const budget = retryBudget();
  let refused = 0;
  for (let n = 0; n < 1_000; n += 1) {
    for (let ok = 0; ok < 19; ok += 1) budget.succeeded();
    if (!budget.failed()) refused += 1;
  }
  expect(refused).toBe(0);
});

test('after an outage, successes earn retries back', () => {
  const budget = retryBudget();
  for (let n = 0; n < 100; n += 1) budget.failed();
  expect(budget.failed()).toBe(false);
  for (let n = 0; n < 70; n += 1) budget.succeeded();
  expect(budget.failed()).toBe(true);
});
