import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { tryFor } from '../src/index.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Fails with these, one after the other, and then works. */
const failing = (...faults: string[]) => {
  const attempt = vi.fn(async () => {
    const fault = faults.shift();
    if (fault !== undefined) throw new Error(fault);
    return 'there';
  });
  return attempt;
};

it('tries until it works', async () => {
  const attempt = failing('away', 'away');
  const trying = tryFor({ waitMs: 5_000, pauseMs: 1_000 }, attempt);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(await trying).toBe('there');
  expect(attempt).toHaveBeenCalledTimes(3);
});

it('tells the last error when the time is up, and begins no attempt after it', async () => {
  const attempt = failing('first', 'second', 'third');
  const trying = expect(tryFor({ waitMs: 1_500, pauseMs: 1_000 }, attempt)).rejects.toThrow('second');
  await vi.advanceTimersByTimeAsync(10_000);
  await trying;
  expect(attempt).toHaveBeenCalledTimes(2);
});

it('does not wait where waiting cannot help', async () => {
  const attempt = failing('refused');
  const hopeless = (error: unknown) => error instanceof Error && error.message === 'refused';
  await expect(tryFor({ waitMs: 60_000, pauseMs: 1_000, hopeless }, attempt)).rejects.toThrow('refused');
});
