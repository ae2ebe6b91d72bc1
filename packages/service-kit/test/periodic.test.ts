import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { periodic } from '../src/periodic.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const longest = 1_100;

it('runs again and again, also after a run that failed', async () => {
  const faults: unknown[] = [];
  let runs = 0;
  const part = periodic('upkeep', {
    everyMs: 1_000,
    work: async () => {
      runs += 1;
      if (runs === 2) throw new Error('away');
    },
    failed: (error) => faults.push(error),
  });
  await part.run();
  expect(runs).toBe(0);
  for (const expected of [1, 2, 3]) {
    await vi.advanceTimersByTimeAsync(longest);
    expect(runs).toBe(expected);
  }
  expect(faults).toEqual([new Error('away')]);
  await part.stop();
  await vi.advanceTimersByTimeAsync(10 * longest);
  expect(runs).toBe(3);
});

it('never overlaps itself, and stops when the run under way has ended', async () => {
  const { promise: held, resolve: finish } = Promise.withResolvers<void>();
  let runs = 0;
  const part = periodic('upkeep', {
    everyMs: 1_000,
    work: () => {
      runs += 1;
      return held;
    },
    failed: () => {},
  });
  await part.run();
  await vi.advanceTimersByTimeAsync(5 * longest);
  expect(runs).toBe(1);
  let stopped = false;
  const stopping = part.stop().then(() => {
    stopped = true;
  });
  await vi.advanceTimersByTimeAsync(longest);
  expect(stopped).toBe(false);
  finish();
  await stopping;
});
