import { AppError } from '@skein/contracts';
import { expect, test } from 'vitest';
import { clientOf, open, start, written } from './carrying.ts';
import { ctx, startServer } from './fixture.ts';

test('calls of one turn go in one message, each for its own person', async () => {
  const { server, read } = await start(async ({ text }, { actor, caller }) => ({
    text: `${text} ${actor?.userId} ${caller}`,
  }));
  const client = clientOf(server);
  await open(client, read);
  const people = ['ann', 'bob', 'cid'];
  const said = await Promise.all(
    people.map((userId) =>
      client.say({ text: 'hi' }, ctx({ timeoutMs: 4_999, actor: { userId, scopes: [] } })),
    ),
  );
  expect(said.map(({ text }) => text)).toEqual(people.map((userId) => `hi ${userId} tester`));
  expect(read.at(-1)).toBe(3);
});

test('many large calls at once go in messages that the other side takes', async () => {
  const { server, read } = await start(async ({ text }) => ({ text }));
  const client = clientOf(server);
  await open(client, read);
  const texts = [...'abcdefgh'].map((letter) => letter.repeat(900_000));
  const said = await Promise.all(texts.map((text) => client.say({ text }, ctx())));
  expect(said.map(({ text }) => text)).toEqual(texts);
  expect(read.slice(-texts.length)).toEqual(texts.map(() => 1));
});

test('a call that is too large, or whose answer is, fails alone', async () => {
  const entered: string[] = [];
  const go = Promise.withResolvers<void>();
  const { server, read } = await start(async ({ text }) => {
    if (text === 'much') return { text: text.repeat(1_250_000) };
    if (!text.startsWith('neighbour')) return { text: text.slice(0, 4) };
    entered.push(text);
    await go.promise;
    return { text };
  });
  const client = clientOf(server, { retryable: ['say'] });
  await open(client, read);
  const neighbours = Array.from({ length: 5 }, (_, n) => client.say({ text: `neighbour ${n}` }, ctx()));
  await expect.poll(() => entered).toHaveLength(5);
  for (const text of ['x'.repeat(5_000_000), 'much'])
    await expect(client.say({ text }, ctx())).rejects.toMatchObject({ code: 'too_large' });
  // Larger than what goes with others, and small enough for the other side: it goes by itself.
  const messages = read.length;
  expect(await client.say({ text: 'large'.repeat(600_000) }, ctx())).toEqual({ text: 'larg' });
  expect(read).toHaveLength(messages);
  go.resolve();
  await expect(Promise.all(neighbours)).resolves.toHaveLength(5);
  expect(entered).toHaveLength(5);
  await client.say({ text: 'after' }, ctx());
  expect(read).toHaveLength(messages + 1);
});

test('a fault is what it would be of a call of its own', async () => {
  const { server, read } = await start(async () => {
    throw new AppError('overloaded', 'too much', {
      retryAfterMs: 1_500,
      meta: { queue: 'full' },
      errors: [{ path: 'text', message: 'is long' }],
    });
  });
  const client = clientOf(server);
  await open(client, read);
  await expect(client.say({ text: '' }, ctx())).rejects.toMatchObject({
    ...{ code: 'overloaded', detail: 'too much', retryAfterMs: 1_500, meta: { queue: 'full' } },
    errors: [{ path: 'text', message: 'is long' }],
  });
});

test('who may not call the method may not have it carried, nor who cannot prove who it is', async () => {
  const calls: string[] = [];
  const { server, read } = await start(
    async ({ text }) => {
      calls.push(text);
      return { text };
    },
    { allow: ['somebody else'] },
  );
  const client = clientOf(server);
  await open(client, read);
  await expect(client.say({ text: '' }, ctx())).rejects.toMatchObject({ code: 'forbidden' });

  const sent = async function* () {
    yield { calls: [written(1, 'forged', { authorization: 'forged' })], cancelled: [] };
  };
  const answers = [];
  for await (const message of client.sayMany(sent(), ctx())) answers.push(...message.answers);
  expect(answers).toMatchObject([{ number: 1, status: 16 }]);
  expect(calls).toEqual([]);
});

test('a caller that goes away, or whose time is over, interrupts its call and no other', async () => {
  const ended: string[] = [];
  const entered: string[] = [];
  const go = Promise.withResolvers<void>();
  const { server, read } = await start(async ({ text }, { signal }) => {
    if (text === 'open') return { text };
    entered.push(text);
    await new Promise<void>((resolve) => {
      if (text === 'stays') void go.promise.then(resolve);
      signal.addEventListener('abort', () => {
        ended.push(text);
        resolve();
      });
    });
    return { text };
  });
  const client = clientOf(server);
  await open(client, read);
  const caller = new AbortController();
  const gone = expect(client.say({ text: 'gone' }, ctx({ signal: caller.signal }))).rejects.toMatchObject({
    code: 'cancelled',
  });
  const late = expect(client.say({ text: 'late' }, ctx({ timeoutMs: 150 }))).rejects.toMatchObject({
    code: 'deadline_exceeded',
  });
  const stays = client.say({ text: 'stays' }, ctx());
  await expect.poll(() => entered).toHaveLength(3);
  caller.abort();
  await Promise.all([gone, late]);
  await expect.poll(() => ended.sort()).toEqual(['gone', 'late']);
  go.resolve();
  expect(await stays).toEqual({ text: 'stays' });
});

test('a call that was given up before it was written is not made', async () => {
  const made: string[] = [];
  const { server, read } = await start(async ({ text }) => {
    made.push(text);
    return { text };
  });
  const client = clientOf(server);
  await open(client, read);
  const caller = new AbortController();
  const gone = client.say({ text: 'gone' }, ctx({ signal: caller.signal }));
  const stays = client.say({ text: 'stays' }, ctx());
  caller.abort();
  await expect(gone).rejects.toMatchObject({ code: 'cancelled' });
  await stays;
  expect(made.filter((text) => text !== 'open')).toEqual(['stays']);
});

test('a call ends with its time, and is not made when that is over or when it is called off beside it', async () => {
  const made: string[] = [];
  const late = Promise.withResolvers<string>();
  const { server } = await start(async ({ text }, { signal }) => {
    made.push(text);
    if (text !== 'late') return { text };
    signal.addEventListener('abort', () => late.resolve(signal.reason.code));
    return new Promise(() => {});
  });
  const sent = async function* () {
    const calls = [written(1, 'called off'), written(2, 'over', { timeoutMs: 0 }), written(3, 'made')];
    yield { calls, cancelled: [1] };
    yield { calls: [written(4, 'late', { timeoutMs: 20 })], cancelled: [] };
    await late.promise;
  };
  const answers = [];
  for await (const message of clientOf(server).sayMany(sent(), ctx())) answers.push(...message.answers);
  expect(await late.promise).toBe('deadline_exceeded');
  expect(answers.map(({ number, status }) => [number, status]).sort()).toEqual([
    [2, 4],
    [3, 0],
  ]);
  expect(made).toEqual(['made', 'late']);
});

test('calls go by themselves to a service of the version before', async () => {
  const client = clientOf(await startServer());
  for (const text of ['one', 'two', 'three'])
    expect(await client.say({ text }, ctx())).toEqual({ text: `you said ${text}` });
});
