import { AppError } from '@skein/contracts';
import { expect, it } from 'vitest';
import { sweepUseCase } from '../src/app/sweep.ts';

it('ends the other overdue turns and forgets when one turn cannot be ended', async () => {
  const ended: string[] = [];
  const failures: string[] = [];
  let forgotten = 0;
  const sweep = sweepUseCase({
    turns: {
      end: async (_, { turnId }) => {
        if (turnId === 'bad') throw new AppError('not_found', 'The conversation is gone');
        ended.push(turnId);
        return { outcome: 'failed', offset: 1, duplicate: false };
      },
    },
    sweeps: {
      overdueTurns: async () => ['bad', 'good'].map((turnId) => ({ space: 'space', turnId })),
      forget: async (nowMs) => {
        forgotten = nowMs;
      },
    },
    clock: { now: () => 5_000 },
    turnTimeoutMs: () => 1_000,
    retained: () => [],
    failed: (_, turnId) => failures.push(turnId),
  });
  await sweep();
  expect(ended).toEqual(['good']);
  expect(failures).toEqual(['bad']);
  expect(forgotten).toBe(5_000);
});
