import { AppError, type Code } from '@skein/contracts';
import { createMetrics } from '@skein/telemetry';
import { expect, test } from 'vitest';
import type { RpcClientOptions } from '../src/index.ts';
import { ctx, type probeService, startClient, startServer } from './fixture.ts';

/** A server that fails in given ways, then works; and how often it was asked. */
const failing = async (...failures: AppError[]) => {
  const times: number[] = [];
  const server = await startServer({
    say: async ({ text }) => {
      times.push(performance.now());
      const failure = failures[Math.min(times.length, failures.length + 1) - 1];
      if (failure) throw failure;
      return { text };
    },
  });
  return { server, times };
};

const always = async (code: Code) => {
  let asked = 0;
  const server = await startServer({
    say: async () => {
      asked += 1;
      throw new AppError(code);
    },
  });
  return { server, asked: () => asked };
};

const eager: Partial<RpcClientOptions<typeof probeService>> = { retryable: ['say'], random: () => 0.01 };

test('a method that may run twice is sent again after unavailable, at most three times in all', async () => {
  const gone = new AppError('unavailable');
  const twice = await failing(gone, gone);
  await expect(startClient(twice.server, eager).say({ text: 'x' }, ctx())).resolves.toEqual({ text: 'x' });
  const thrice = await failing(gone, gone, gone);
  await expect(startClient(thrice.server, eager).say({ text: 'x' }, ctx())).rejects.toMatchObject({
    code: 'unavailable',
  });
  expect([twice.times.length, thrice.times.length]).toEqual([3, 3]);
});

test('a method that is not named as repeatable is sent once', async () => {
  const { server, times } = await failing(new AppError('unavailable'));
  await expect(startClient(server).say({ text: '' }, ctx())).rejects.toMatchObject({ code: 'unavailable' });
  expect(times).toHaveLength(1);
});

test.each(['internal', 'conflict', 'overloaded', 'rate_limited', 'not_found', 'deadline_exceeded'] as const)(
  '%s is never sent again',
  async (code) => {
    const { server, asked } = await always(code);
    await expect(startClient(server, eager).say({ text: '' }, ctx())).rejects.toMatchObject({ code });
    expect(asked()).toBe(1);
  },
);

test('the time the server asks for is waited', async () => {
  const { server, times } = await failing(new AppError('unavailable', 'later', { retryAfterMs: 300 }));
  await startClient(server, eager).say({ text: '' }, ctx());
  expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(295);
});

test('a wait that would outlast the deadline is not begun', async () => {
  const { server, times } = await failing(new AppError('unavailable', 'later', { retryAfterMs: 60_000 }));
  // Waiting for it would end as deadline_exceeded.
  await expect(startClient(server, eager).say({ text: '' }, ctx())).rejects.toMatchObject({
    code: 'unavailable',
    retryAfterMs: 60_000,
  });
  expect(times).toHaveLength(1);
});

test('a caller that leaves while a retry waits is told at once', async () => {
  const { server, times } = await failing(new AppError('unavailable', 'later', { retryAfterMs: 3_000 }));
  const caller = new AbortController();
  const call = startClient(server, eager).say({ text: '' }, ctx({ signal: caller.signal }));
  const ended = expect(call).rejects.toMatchObject({ code: 'cancelled' });
  await expect.poll(() => times.length).toBe(1);
  caller.abort();
  await ended;
  expect(times).toHaveLength(1);
});

test('a backend that is down as a whole gets hardly more calls than there are requests', async () => {
  const { server, asked } = await always('unavailable');
  const client = startClient(server, eager);
  const requests = 200;
  for (let n = 0; n < requests; n += 1) await client.say({ text: '' }, ctx()).catch(() => {});
  expect(asked()).toBeGreaterThanOrEqual(20);
  expect(asked()).toBeLessThanOrEqual(requests * 1.1);
});

test('the same when the requests come all at once', async () => {
  const { server, asked } = await always('unavailable');
  const client = startClient(server, eager);
  const requests = 200;
  await Promise.allSettled(Array.from({ length: requests }, () => client.say({ text: '' }, ctx())));
  expect(asked()).toBeLessThanOrEqual(requests * 1.1);
});

test('retries do not multiply over hops: only the one next to the failure repeats', async () => {
  const { server, asked } = await always('unavailable');
  const inner = startClient(server, eager);
  let middleAsked = 0;
  const middle = await startServer({
    say: async (request, context) => {
      middleAsked += 1;
      return inner.say(request, context);
    },
  });
  await expect(startClient(middle, eager).say({ text: '' }, ctx())).rejects.toMatchObject({
    code: 'unavailable',
  });
  expect([middleAsked, asked()]).toEqual([1, 3]);
});

test('a backend that keeps failing is left alone for a while, and found healthy again', async () => {
  let ill = true;
  let asked = 0;
  const server = await startServer({
    say: async ({ text }) => {
      asked += 1;
      if (ill) throw new AppError('internal');
      return { text };
    },
  });
  const metrics = createMetrics();
  const circuit = () => /rpc_client_circuit_open\{circuit="probe Say"\} (\d)/.exec(metrics.print())?.[1];
  const client = startClient(server, { random: () => 0.5, metrics });
  for (let n = 0; n < 40; n += 1) await client.say({ text: '' }, ctx()).catch(() => {});
  expect(asked).toBe(20);
  expect(circuit()).toBe('1');
  const refused = await client.say({ text: '' }, ctx()).catch((error: AppError) => error);
  expect(refused).toMatchObject({ code: 'unavailable', retryAfterMs: expect.any(Number) });
  // Another method of the same service has a circuit of its own.
  await expect(client.count({ text: '1' }, ctx())[Symbol.asyncIterator]().next()).resolves.toMatchObject({
    done: false,
  });
  ill = false;
  await expect
    .poll(() => client.say({ text: 'x' }, ctx()).catch(() => {}), { timeout: 10_000 })
    .toEqual({ text: 'x' });
  expect(circuit()).toBe('0');
});

test('expected faults never open the circuit', async () => {
  const { server, asked } = await always('not_found');
  const client = startClient(server);
  for (let n = 0; n < 60; n += 1) await client.say({ text: '' }, ctx()).catch(() => {});
  expect(asked()).toBe(60);
});

test('more calls than the client may have in flight wait for a moment, and more than may wait are refused at once', async () => {
  const release = Promise.withResolvers<void>();
  const server = await startServer({
    say: async ({ text }) => {
      await release.promise;
      return { text };
    },
  });
  const client = startClient(server, { maxInFlight: 2 });
  const [first, second, third, fourth, fifth] = Array.from({ length: 5 }, (_, n) =>
    client.say({ text: 'x' }, ctx({ timeoutMs: n === 3 ? 20 : 60_000 })).catch((error: AppError) => error),
  );
  const refused = 'Too many calls of probe at once';
  expect(await fifth).toMatchObject({ code: 'overloaded', detail: refused });
  // Nobody is served after the one who asked has left: the fourth had no more time than that.
  expect(await fourth).toMatchObject({
    code: 'overloaded',
    detail: expect.stringMatching(/none ended within (1?\d|20) ms$/),
  });
  expect(await third).toMatchObject({
    code: 'overloaded',
    detail: `${refused}: none ended within 100 ms`,
  });
  release.resolve();
  expect(await Promise.all([first, second])).toEqual([{ text: 'x' }, { text: 'x' }]);
});
