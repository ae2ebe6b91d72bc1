import { expect, test } from 'vitest';
import { clientOf, open, start, written } from './carrying.ts';
import { ctx } from './fixture.ts';

test('what was under way when the stream broke is lost like any call, and tried again when that is harmless', async () => {
  const entered = Promise.withResolvers<void>();
  const { server, read } = await start(async ({ text }) => {
    if (text !== 'under way') return { text };
    entered.resolve();
    return new Promise(() => {});
  });
  const careful = clientOf(server);
  const bold = clientOf(server, { retryable: ['say'] });
  await open(careful, read);
  await open(bold, read);
  const lost = expect(careful.say({ text: 'under way' }, ctx())).rejects.toMatchObject({
    code: 'unavailable',
  });
  await entered.promise;
  const again = bold.say({ text: 'under way' }, ctx());
  await expect.poll(() => read.length).toBeGreaterThan(3);
  const { port } = server;
  await server.stop();
  await lost;
  const next = await start(async ({ text }) => ({ text: `${text} again` }), { port });
  expect(await again).toEqual({ text: 'under way again' });
  await open(careful, next.read);
});

test('a server that drains answers what is under way and takes no more on the stream', async () => {
  const entered = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const { server, read } = await start(async ({ text }) => {
    if (text === 'open') return { text };
    entered.resolve();
    await go.promise;
    return { text };
  });
  const client = clientOf(server);
  await open(client, read);
  const underWay = client.say({ text: 'under way' }, ctx());
  await entered.promise;
  const drained = server.drain?.();
  go.resolve();
  expect(await underWay).toEqual({ text: 'under way' });
  await drained;
});

test.each(['age', 'drain'])(
  'at the %s of its stream a call has as much time as one of its own',
  async (end) => {
    const entered: string[] = [];
    const go = Promise.withResolvers<void>();
    const { server, read } = await start(
      async ({ text }) => {
        if (text === 'open') return { text };
        entered.push(text);
        await go.promise;
        return { text };
      },
      { streamGraceMs: 50, random: () => 0.5, ...(end === 'age' ? { maxAgeMs: 1_000 } : {}) },
    );
    const client = clientOf(server);
    await open(client, read);
    const texts = Array.from({ length: 25 }, (_, n) => `slow ${n}`);
    const calls = texts.map((text) => client.say({ text }, ctx({ timeoutMs: 20_000 })));
    await expect.poll(() => entered).toHaveLength(25);
    // Opened later, so it is cut later than the stream of the calls would be.
    const other = client.count({ text: '' }, ctx({ timeoutMs: 20_000 }))[Symbol.asyncIterator]();
    await other.next();
    const drained = end === 'drain' ? server.drain?.() : undefined;
    await expect(other.next()).rejects.toMatchObject({ code: 'unavailable' });
    go.resolve();
    expect((await Promise.all(calls)).map(({ text }) => text)).toEqual(texts);
    expect(entered.sort()).toEqual(texts.sort());
    await drained;
  },
);

test('whatever ends a stream, its calls are lost and nothing else: they are tried again', async () => {
  const entered: string[] = [];
  const { server, read, spoil } = await start(async ({ text }) => {
    if (text !== 'under way') return { text };
    entered.push(text);
    if (entered.length > 30) return { text };
    return new Promise(() => {});
  });
  const client = clientOf(server, { retryable: ['say'] });
  await open(client, read);
  // More than the budget for faults of a service would pay for.
  const calls = Array.from({ length: 30 }, () => client.say({ text: 'under way' }, ctx()));
  await expect.poll(() => entered).toHaveLength(30);
  spoil();
  await client.say({ text: 'unreadable' }, ctx());
  await expect(Promise.all(calls)).resolves.toHaveLength(30);
});

test('a stream that is gone interrupts its calls, also while handlers hang after it was told to end', async () => {
  const interrupted = Promise.withResolvers<void>();
  const { server } = await start(
    async (_, { signal }) => {
      signal.addEventListener('abort', () => interrupted.resolve());
      return new Promise(() => {});
    },
    { maxAgeMs: 100 },
  );
  const caller = new AbortController();
  const sent = async function* () {
    yield { calls: [written(1, 'hangs')], cancelled: [] };
    await interrupted.promise;
  };
  const reading = (async () => {
    for await (const { ending } of clientOf(server).sayMany(sent(), ctx({ signal: caller.signal })))
      if (ending) caller.abort();
  })();
  await expect(reading).rejects.toMatchObject({ code: 'cancelled' });
  await interrupted.promise;
});
