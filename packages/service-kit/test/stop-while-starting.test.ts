import { expect, it } from 'vitest';
import { lifecycle, type Service } from '../src/service.ts';

it('starts no further part once it was asked to stop', async () => {
  const { promise: held, resolve: finish } = Promise.withResolvers<void>();
  const happened: string[] = [];
  const part = (id: string, run: () => Promise<void>): Service => ({
    id,
    run: async () => {
      happened.push(`run ${id}`);
      await run();
    },
    stop: async () => {
      happened.push(`stop ${id}`);
    },
  });
  const whole = lifecycle('whole', [part('slow', () => held), part('next', async () => {})]);
  const running = whole.run();
  await whole.stop();
  finish();
  await expect(running).rejects.toThrow('whole was stopped while it started');
  expect(happened).toEqual(['run slow', 'stop slow']);
});
