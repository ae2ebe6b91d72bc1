import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { unaryDeadline } from '../src/client-call.ts';
import { type CallContext, deriveContext, identity, rootContext } from '../src/index.ts';
import { collect, ctx, probeService, secret, startClient, startServer } from './fixture.ts';

/** A handler that shows the context it got. */
const recording = () => {
  const seen: CallContext[] = [];
  return {
    seen,
    say: async ({ text }: { text: string }, context: CallContext) => {
      seen.push(context);
      return { text };
    },
  };
};

test('each hop keeps ten percent of the time back', async () => {
  const inner = recording();
  const innerClient = startClient(await startServer({ say: inner.say }));
  const outer = recording();
  const outerServer = await startServer({
    say: async (request, context) => {
      await outer.say(request, context);
      return innerClient.say(request, context);
    },
  });
  const context = ctx({ timeoutMs: 10_000 });
  await startClient(outerServer).say({ text: '' }, context);
  const [first, second] = [outer.seen[0]?.deadlineMs ?? 0, inner.seen[0]?.deadlineMs ?? 0];
  // 500 ms each, less what the way itself takes; without them both would be below zero.
  expect(context.deadlineMs - first).toBeGreaterThan(0);
  expect(first - second).toBeGreaterThan(0);
});

test.each([
  [1_000, 900],
  [10_000, 9_500],
  [60_000, 30_000],
  [Number.POSITIVE_INFINITY, 30_000],
])('of %d ms, a call takes at most %d ms', (leftMs, takenMs) => {
  const now = 1_000_000;
  expect(unaryDeadline({ ...ctx(), deadlineMs: now + leftMs }, now)).toBe(now + takenMs);
});

test('work that takes too long is interrupted on both sides, as deadline_exceeded', async () => {
  const reasons: unknown[] = [];
  const server = await startServer({
    say: async (_, { signal }) => {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      reasons.push(signal.reason);
      return { text: 'too late' };
    },
  });
  await expect(startClient(server).say({ text: '' }, ctx({ timeoutMs: 300 }))).rejects.toMatchObject({
    code: 'deadline_exceeded',
  });
  await expect.poll(() => reasons).toEqual([expect.objectContaining({ code: 'deadline_exceeded' })]);
});

test('a context without time left is refused before anything is sent', async () => {
  const { seen, say } = recording();
  const client = startClient(await startServer({ say }));
  await expect(client.say({ text: '' }, ctx({ timeoutMs: 0 }))).rejects.toMatchObject({
    code: 'deadline_exceeded',
  });
  expect(seen).toEqual([]);
});

test('a unary call under a context without end still ends', async () => {
  const { seen, say } = recording();
  await startClient(await startServer({ say })).say(
    { text: '' },
    rootContext({ timeoutMs: Number.POSITIVE_INFINITY }),
  );
  expect((seen[0]?.deadlineMs ?? 0) - Date.now()).toBeLessThanOrEqual(30_000);
});

test('a call without a deadline is refused', async () => {
  const { port } = await startServer();
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const metadata = new Metadata();
  metadata.set('authorization', identity({ service: 'tester', secret }).sign(undefined));
  const { path, requestSerialize, responseDeserialize } = probeService.say;
  const error = await new Promise((resolve) =>
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, { text: '' }, metadata, resolve),
  );
  expect(error).toMatchObject({ code: 3, details: 'A call needs a deadline' });
  client.close();
});

test('a stream has the deadline of its context, and none under a context without end', async () => {
  const seen: number[] = [];
  const server = await startServer({
    count: async function* (_, { deadlineMs }) {
      seen.push(deadlineMs);
      yield { text: '' };
    },
  });
  const client = startClient(server);
  await collect(client.count({ text: '' }, ctx({ timeoutMs: 2_000 })));
  await collect(client.count({ text: '' }, ctx({ timeoutMs: Number.POSITIVE_INFINITY })));
  expect((seen[0] ?? 0) - Date.now()).toBeLessThanOrEqual(2_000);
  // Its age ends it on the server, about five minutes from now.
  expect((seen[1] ?? 0) - Date.now()).toBeGreaterThan(200_000);
});

test('a derived context never has more time than its parent', () => {
  const parent = ctx({ timeoutMs: 1_000 });
  expect(deriveContext(parent, { timeoutMs: 5_000 }).deadlineMs).toBe(parent.deadlineMs);
  expect(deriveContext(parent, { timeoutMs: 100 }).deadlineMs).toBeLessThan(parent.deadlineMs);
});
