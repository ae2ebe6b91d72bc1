import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Sweeper } from '../../src/live/sweeper.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const sweptOnes = (count: number) => Array.from({ length: count }, () => ({ sweep: vi.fn<() => void>() }));
const looks = (all: readonly { sweep: { mock: { calls: unknown[] } } }[]) =>
  all.map(({ sweep }) => sweep.mock.calls.length);

it('looks at everybody once a round, at a small part of them at a time', async () => {
  const sweeper = new Sweeper({ now: () => 0 }, 1_000);
  const all = sweptOnes(1_000);
  for (const one of all) sweeper.add(one);
  await sweeper.run();
  let before = 0;
  let most = 0;
  for (let passed = 0; passed < 1_000; passed += 50) {
    vi.advanceTimersByTime(50);
    const now = looks(all).reduce((sum, count) => sum + count, 0);
    most = Math.max(most, now - before);
    before = now;
  }
  expect(new Set(looks(all))).toEqual(new Set([1]));
  expect(most).toBe(50);
  await sweeper.stop();
});

it('goes on where it was when somebody leaves, and looks at nobody who has left', async () => {
  const sweeper = new Sweeper({ now: () => 0 }, 1_000);
  const all = sweptOnes(100);
  for (const one of all) sweeper.add(one);
  await sweeper.run();
  vi.advanceTimersByTime(500);
  const [stay, leave] = [all.filter((_, at) => at % 2 === 0), all.filter((_, at) => at % 2 === 1)];
  const seen = looks(leave);
  for (const one of leave) sweeper.remove(one);
  vi.advanceTimersByTime(500);
  expect(new Set(looks(stay))).toEqual(new Set([1]));
  expect(looks(leave)).toEqual(seen);
  vi.advanceTimersByTime(1_000);
  expect(new Set(looks(stay))).toEqual(new Set([2]));
  await sweeper.stop();
});
