import { expect, onTestFinished, test, vi } from 'vitest';
import { bulkhead } from '../src/index.ts';

const held = () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { work: () => promise, release: resolve };
};

test('no more run at once than allowed, the rest wait in order, and one too many is refused at once', async () => {
  const two = bulkhead({ name: 'test', concurrency: 2, queue: 2 });
  const order: number[] = [];
  const works = [held(), held(), held(), held()];
  const runs = works.map(({ work }, n) =>
    two.run(() => {
      order.push(n);
      return work();
    }),
  );
  await expect(two.run(async () => {})).rejects.toMatchObject({ code: 'overloaded', retryAfterMs: 1_000 });
  expect(order).toEqual([0, 1]);
  expect([two.running, two.waiting]).toEqual([2, 2]);
  works[1]?.release();
  await runs[1];
  expect(order).toEqual([0, 1, 2]);
  for (const { release } of works) release();
  await Promise.all(runs);
  expect([two.running, two.waiting]).toEqual([0, 0]);
});

test('a place is given back only when the work has settled, also when its caller left long ago', async () => {
  const one = bulkhead({ name: 'test', concurrency: 1, queue: 1 });
  const hung = held();
  const caller = new AbortController();
  const first = one.run(hung.work, caller.signal);
  caller.abort();
  let ran = false;
  const second = one.run(async () => {
    ran = true;
  });
  await Promise.resolve();
  expect([one.running, one.waiting, ran]).toEqual([1, 1, false]);
  hung.release();
  await Promise.all([first, second]);
  expect(ran).toBe(true);
});

test('who stops waiting leaves the queue with the reason, and takes no place', async () => {
  const one = bulkhead({ name: 'test', concurrency: 1, queue: 1 });
  const hung = held();
  const first = one.run(hung.work);
  const caller = new AbortController();
  const second = one.run(async () => {}, caller.signal);
  caller.abort(new Error('gave up'));
  await expect(second).rejects.toThrow('gave up');
  expect(one.waiting).toBe(0);
  hung.release();
  await first;
  expect(one.running).toBe(0);
});

test('who waits too long leaves the queue as overloaded, and one admitted in time is not disturbed', async () => {
  vi.useFakeTimers();
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const one = bulkhead({ name: 'test', concurrency: 1, queue: 2 });
  expect(one.enter()).toBeUndefined();
  const admitted = one.enter(undefined, 100);
  const late = Promise.resolve(one.enter(undefined, 100)).catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(99);
  expect([one.running, one.waiting]).toEqual([1, 2]);
  one.leave();
  await admitted;
  await vi.advanceTimersByTimeAsync(1);
  expect(await late).toMatchObject({ code: 'overloaded', retryAfterMs: 1_000 });
  expect([one.running, one.waiting, vi.getTimerCount()]).toEqual([1, 0, 0]);
  one.leave();
  expect(one.running).toBe(0);
});

test('work that throws gives its place back', async () => {
  const one = bulkhead({ name: 'test', concurrency: 1, queue: 0 });
  await expect(one.run(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
  await expect(one.run(async () => 'yes')).resolves.toBe('yes');
});
