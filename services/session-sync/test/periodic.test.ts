import { expect, it } from 'vitest';
import { periodic } from '../src/app/periodic.ts';

it('gives work under way up when it is stopped, which is no failure', async () => {
  const failures: unknown[] = [];
  let begin = () => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const part = periodic('test', {
    everyMs: 1,
    timers: {
      after: (_, work) => {
        queueMicrotask(work);
        return () => {};
      },
    },
    work: (signal) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        begin();
      }),
    failed: (error) => failures.push(error),
  });
  await part.run();
  await begun;
  await part.stop();
  expect(failures).toEqual([]);
});
