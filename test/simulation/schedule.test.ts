import { afterEach, expect, it, vi } from 'vitest';
import { createSchedule, replaceGlobals, seededRandom } from './schedule.ts';

afterEach(() => vi.useRealTimers());

it('calls off what was planned before the simulation began, as a pool does for its idle connection', () => {
  vi.useFakeTimers();
  const closed = vi.fn();
  const idle = setTimeout(closed, 30_000);
  const giveBack = replaceGlobals(createSchedule(0), seededRandom(1));
  clearTimeout(idle);
  giveBack();
  vi.advanceTimersByTime(60_000);
  expect(closed).not.toHaveBeenCalled();
});

it('runs timers of the simulation at its own time, in order, and none that was called off', async () => {
  const schedule = createSchedule(1_000);
  const giveBack = replaceGlobals(schedule, seededRandom(1));
  const ran: string[] = [];
  try {
    setTimeout(() => ran.push(`late ${Date.now()}`), 500);
    setTimeout(() => ran.push(`early ${Date.now()}`), 20);
    clearTimeout(setTimeout(() => ran.push('never'), 10));
    await schedule.run(2_000);
  } finally {
    giveBack();
  }
  expect(ran).toEqual(['early 1020', 'late 1500']);
});
