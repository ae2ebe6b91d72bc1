import { expect, test } from 'vitest';
import { ctx, startClient, startServer } from './fixture.ts';

test('draining lets calls in flight finish and then takes no more', async () => {
  const entered = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const server = await startServer({
    say: async ({ text }) => {
      entered.resolve();
      await release.promise;
      return { text };
    },
  });
  const client = startClient(server, { waitMs: 100 });
  const call = client.say({ text: 'x' }, ctx());
  await entered.promise;
  let drained = false;
  const draining = server.drain?.().then(() => {
    drained = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(drained).toBe(false);
  release.resolve();
  await expect(call).resolves.toEqual({ text: 'x' });
  await draining;
  await expect(client.say({ text: 'y' }, ctx())).rejects.toMatchObject({ code: 'unavailable' });
});

test('draining tells open streams to end, so that it does not wait for them for ever', async () => {
  const server = await startServer({
    count: async function* () {
      yield { text: 'open' };
      await new Promise(() => {});
    },
  });
  const values = startClient(server).count({ text: '' }, ctx())[Symbol.asyncIterator]();
  await values.next();
  const ended = expect(values.next()).rejects.toMatchObject({ code: 'unavailable' });
  await server.drain?.();
  await ended;
});

test('calls during the drain of one of two instances all succeed', async () => {
  const [a, b] = await Promise.all([startServer(), startServer()]);
  const client = startClient(`ipv4:127.0.0.1:${a.port},127.0.0.1:${b.port}`);
  const results: Promise<unknown>[] = [];
  let going = true;
  const traffic = (async () => {
    while (going) {
      results.push(client.say({ text: 'x' }, ctx()));
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  await expect.poll(() => results.length).toBeGreaterThan(50);
  await a.drain?.();
  await a.stop();
  const after = results.length;
  await expect.poll(() => results.length).toBeGreaterThan(after + 50);
  going = false;
  await traffic;
  const outcomes = await Promise.allSettled(results);
  expect(outcomes.filter(({ status }) => status === 'rejected')).toEqual([]);
});

test('stopping a server that never ran, and stopping twice, are fine', async () => {
  const server = await startServer();
  await server.drain?.();
  await server.stop();
  await server.stop();
});

test('a port that is taken is named in the error', async () => {
  const { port } = await startServer();
  await expect(startServer({}, { port })).rejects.toThrow(`127.0.0.1:${port}`);
});
