import { createLogger } from '@skein/telemetry';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { ConsulApi, Passing, PassingQuery } from '../src/consul-api.ts';
import { type Instances, serviceWatch } from '../src/service-watch.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const a = { host: '10.0.0.1', port: 1 };
const b = { host: '10.0.0.2', port: 2 };

/** A Consul whose answers are given one by one. */
const scripted = () => {
  const asked: PassingQuery[] = [];
  let pending: { resolve: (answer: Passing) => void; reject: (error: unknown) => void } | undefined;
  const unused = () => Promise.reject(new Error('not asked for here'));
  const api: ConsulApi = {
    passing: (_service, query) => {
      asked.push(query);
      return new Promise((resolve, reject) => {
        pending = { resolve, reject };
        query.signal.addEventListener('abort', () => reject(query.signal.reason));
      });
    },
    register: unused,
    beat: unused,
    deregister: unused,
  };
  const soon = () => vi.advanceTimersByTimeAsync(200);
  return {
    api,
    asked,
    answer: async (index: number, addresses: Passing['addresses']) => {
      pending?.resolve({ index, addresses });
      await soon();
    },
    fail: async () => {
      pending?.reject(new Error('connect ECONNREFUSED'));
      // The longest pause between two attempts.
      await vi.advanceTimersByTimeAsync(5_000);
    },
  };
};

const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });

const watching = () => {
  const consul = scripted();
  const watch = serviceWatch({
    service: 'auth',
    api: consul.api,
    log,
    waitMs: 55_000,
    graceMs: 30_000,
    random: () => 0.5,
  });
  const told: Instances[] = [];
  const listen = () => watch.subscribe((instances) => told.push(instances));
  return { consul, watch, told, listen };
};

test('tells the instances and every change of them, asking each time from where it was', async () => {
  const { consul, told, listen } = watching();
  const stop = listen();
  await consul.answer(7, [a]);
  await consul.answer(9, [a, b]);
  expect(told).toEqual([
    { known: true, addresses: [a] },
    { known: true, addresses: [a, b] },
  ]);
  expect(consul.asked.map(({ index }) => index)).toEqual([0, 7, 9]);
  stop();
});

test('the same instances in another order, under a new index, are no news', async () => {
  const { consul, told, listen } = watching();
  const stop = listen();
  await consul.answer(7, [a, b]);
  await consul.answer(8, [b, a]);
  await consul.answer(9, [a, b]);
  expect(told).toHaveLength(1);
  stop();
});

test('while Consul is away the last instances stay, and it is asked again and again', async () => {
  const { consul, told, listen } = watching();
  const stop = listen();
  await consul.answer(7, [a]);
  for (let n = 0; n < 20; n += 1) await consul.fail();
  expect(told).toEqual([{ known: true, addresses: [a] }]);
  expect(consul.asked.length).toBeGreaterThan(20);
  await consul.answer(2, [b]);
  expect(told.at(-1)).toEqual({ known: true, addresses: [b] });
  stop();
});

test('an agent that came back without its data is asked from the beginning', async () => {
  const { consul, listen } = watching();
  const stop = listen();
  await consul.answer(700, [a]);
  await consul.answer(3, [a]);
  expect(consul.asked.map(({ index }) => index)).toEqual([0, 700, 0]);
  stop();
});

test('with no passing instance the last ones stay for the grace, then an error is told, never an empty list', async () => {
  const { consul, told, listen } = watching();
  const stop = listen();
  await consul.answer(7, [a]);
  await consul.answer(8, []);
  await vi.advanceTimersByTimeAsync(29_000);
  expect(told).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(told.at(-1)).toEqual({ known: false, why: 'no instance of auth passes its health check' });
  await consul.answer(9, [a]);
  expect(told.at(-1)).toEqual({ known: true, addresses: [a] });
  stop();
});

test('an instance that is back within the grace was never missed', async () => {
  const { consul, told, listen } = watching();
  const stop = listen();
  await consul.answer(7, [a]);
  await consul.answer(8, []);
  await vi.advanceTimersByTimeAsync(20_000);
  await consul.answer(9, [a]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(told).toEqual([{ known: true, addresses: [a] }]);
  stop();
});

test('a Consul that is away from the beginning is told as an error once', async () => {
  const { consul, told, listen } = watching();
  const stop = listen();
  for (let n = 0; n < 5; n += 1) await consul.fail();
  expect(told).toEqual([{ known: false, why: 'Consul cannot be asked for auth' }]);
  stop();
});

test('nothing is told after the listener has stopped, and no question stays open', async () => {
  const { consul, told, listen } = watching();
  const stop = listen();
  await consul.answer(7, [a]);
  stop();
  expect(consul.asked.at(-1)?.signal.aborted).toBe(true);
  await consul.answer(8, [b]);
  await vi.advanceTimersByTimeAsync(120_000);
  expect(told).toHaveLength(1);
  expect(vi.getTimerCount()).toBe(0);
});

test('after a time without listeners it starts again with what it knew, told later and never at once', async () => {
  const { consul, told, listen } = watching();
  listen()();
  const first = listen();
  await consul.answer(7, [a]);
  first();
  const second = listen();
  expect(told).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(0);
  expect(told).toEqual([
    { known: true, addresses: [a] },
    { known: true, addresses: [a] },
  ]);
  await consul.answer(9, [b]);
  expect(told.at(-1)).toEqual({ known: true, addresses: [b] });
  second();
});

test('two listeners share one question', async () => {
  const { consul, told, listen } = watching();
  const first = listen();
  await consul.answer(7, [a]);
  const second = listen();
  await vi.advanceTimersByTimeAsync(0);
  expect(consul.asked).toHaveLength(2);
  expect(told).toHaveLength(2);
  first();
  expect(consul.asked.at(-1)?.signal.aborted).toBe(false);
  second();
  expect(consul.asked.at(-1)?.signal.aborted).toBe(true);
});

test('a Consul that does not block is not asked in a hot loop', async () => {
  const { consul, listen } = watching();
  const stop = listen();
  await vi.advanceTimersByTimeAsync(0);
  const { asked } = consul;
  const start = asked.length;
  for (let n = 0; n < 100; n += 1) {
    await consul.answer(7, [a]);
  }
  // 100 answers of 200 ms each, as `answer` advances the clock.
  expect(asked.length - start).toBeLessThanOrEqual(100);
  stop();
});
