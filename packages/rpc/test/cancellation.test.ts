import { AppError } from '@skein/contracts';
import { expect, test } from 'vitest';
import type { CallContext } from '../src/index.ts';
import { ctx, startClient, startServer } from './fixture.ts';

const untilAborted = ({ signal }: CallContext): Promise<unknown> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve(signal.reason)));

test('a caller that goes away interrupts the whole chain', async () => {
  const interrupted: string[] = [];
  const entered = Promise.withResolvers<void>();
  const last = await startServer({
    say: async (_, context) => {
      entered.resolve();
      interrupted.push(`last: ${((await untilAborted(context)) as AppError).code}`);
      return { text: '' };
    },
  });
  const lastClient = startClient(last);
  const first = await startServer({
    say: async (request, context) => {
      try {
        return await lastClient.say(request, context);
      } catch (error) {
        interrupted.push(`first: ${(error as AppError).code}`);
        throw error;
      }
    },
  });
  const caller = new AbortController();
  const call = startClient(first).say({ text: '' }, ctx({ signal: caller.signal }));
  const ended = expect(call).rejects.toMatchObject({ code: 'cancelled' });
  await entered.promise;
  caller.abort();
  await ended;
  await expect.poll(() => interrupted.sort()).toEqual(['first: cancelled', 'last: cancelled']);
});

test('an aborted context sends nothing, and its own reason comes back', async () => {
  let calls = 0;
  const server = await startServer({
    say: async () => {
      calls += 1;
      return { text: '' };
    },
  });
  const signal = AbortSignal.abort(new AppError('overloaded', 'shed'));
  await expect(startClient(server).say({ text: '' }, ctx({ signal }))).rejects.toMatchObject({
    code: 'overloaded',
  });
  expect(calls).toBe(0);
});

test('a call that was answered does not abort the signal its handler kept', async () => {
  let kept: AbortSignal | undefined;
  const server = await startServer({
    say: async ({ text }, { signal }) => {
      kept = signal;
      return { text };
    },
  });
  const client = startClient(server);
  await client.say({ text: '' }, ctx());
  await client.say({ text: '' }, ctx());
  expect(kept?.aborted).toBe(false);
});

test('leaving the loop over a stream ends it on the server', async () => {
  const ended = Promise.withResolvers<unknown>();
  const server = await startServer({
    count: async function* (_, context) {
      try {
        for (let n = 0; ; n += 1) yield { text: String(n) };
      } finally {
        ended.resolve(context.signal.aborted);
      }
    },
  });
  for await (const { text } of startClient(server).count({ text: '' }, ctx())) {
    if (text === '3') break;
  }
  expect(await ended.promise).toBe(true);
});

test('aborting the context ends a stream on both sides with the reason', async () => {
  const reason = Promise.withResolvers<unknown>();
  const server = await startServer({
    count: async function* (_, context) {
      yield { text: 'first' };
      reason.resolve(await untilAborted(context));
    },
  });
  const caller = new AbortController();
  const values = startClient(server)
    .count({ text: '' }, ctx({ signal: caller.signal }))
    [Symbol.asyncIterator]();
  expect(await values.next()).toMatchObject({ value: { text: 'first' } });
  const next = values.next();
  caller.abort();
  await expect(next).rejects.toMatchObject({ code: 'cancelled' });
  expect(await reason.promise).toMatchObject({ code: 'cancelled' });
});

test('thousands of calls under one signal leave no listeners behind', async () => {
  const client = startClient(await startServer());
  const caller = new AbortController();
  let added = 0;
  const { addEventListener, removeEventListener } = caller.signal;
  caller.signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    added += 1;
    addEventListener.apply(caller.signal, args);
  };
  caller.signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    added -= 1;
    removeEventListener.apply(caller.signal, args);
  };
  const context = ctx({ signal: caller.signal });
  await Promise.all(Array.from({ length: 500 }, () => client.say({ text: '' }, context)));
  expect(added).toBe(0);
});
