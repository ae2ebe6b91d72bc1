import { AppError, syncV1 } from '@skein/contracts';
import { createMetrics } from '@skein/telemetry';
import { expect, test } from 'vitest';
import {
  type Handlers,
  identity,
  implement,
  type RpcClient,
  type RpcClientOptions,
  type RpcServer,
  rpcClient,
  rpcServer,
} from '../src/index.ts';
import { afterTest, ctx, handlers, readableLog, startServer } from './fixture.ts';
import { probeService, secret } from './probe-service.ts';

const wire = syncV1.SyncServiceService.streamMutate;
const path = '/skein.probe.v1.ProbeService/SayMany' as const;

/** The probe service with a stream that carries `say`; messages of the stream are noted as the server reads them. */
const streaming = () => {
  const read: number[] = [];
  const requestDeserialize = (bytes: Buffer) => {
    const message = wire.requestDeserialize(bytes);
    if (message.calls.length > 0) read.push(message.calls.length);
    return message;
  };
  return { service: { ...probeService, sayMany: { ...wire, path, requestDeserialize } }, read };
};
type Service = ReturnType<typeof streaming>['service'];

const start = async (say: Handlers<Service>['say'], allow: readonly string[] = ['tester'], port = 0) => {
  const { service, read } = streaming();
  const callers = { say: allow, count: 'any', echo: 'any', sayMany: 'any' } as const;
  const server = rpcServer({
    ...{ service: 'probe', host: '127.0.0.1', port, streamGraceMs: 1_000 },
    ...{ log: readableLog().log, metrics: createMetrics(), identity: identity({ service: 'probe', secret }) },
    implementations: [
      implement(service, { ...handlers, say }, { allow: callers, carries: { sayMany: 'say' } }),
    ],
  });
  await server.run();
  afterTest(() => server.stop());
  return { server, read };
};

const clientOf = (
  { port }: Pick<RpcServer, 'port'>,
  options: Partial<RpcClientOptions<Service>> = {},
): RpcClient<Service> => {
  const client = rpcClient(streaming().service, {
    ...{ service: 'probe', target: `ipv4:127.0.0.1:${port}`, log: readableLog().log },
    ...{ metrics: createMetrics(), identity: identity({ service: 'tester', secret }) },
    carried: { say: 'sayMany' },
    ...options,
  });
  afterTest(() => client.stop());
  return client;
};

/** Calls until calls go over the stream. */
const open = async (client: RpcClient<Service>, read: readonly number[]): Promise<void> => {
  const before = read.length;
  await expect
    .poll(async () => {
      await client.say({ text: 'open' }, ctx()).catch(() => {});
      return read.length;
    })
    .toBeGreaterThan(before);
};

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
  const texts = ['a', 'b', 'c'].map((letter) => letter.repeat(2_000_000));
  const said = await Promise.all(texts.map((text) => client.say({ text }, ctx())));
  expect(said.map(({ text }) => text)).toEqual(texts);
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
    ['somebody else'],
  );
  const client = clientOf(server);
  await open(client, read);
  await expect(client.say({ text: '' }, ctx())).rejects.toMatchObject({ code: 'forbidden' });

  const forged = {
    ...{ number: 1, authorization: 'forged', traceparent: '', correlationId: '', timeoutMs: 5_000 },
    request: probeService.say.requestSerialize({ text: 'forged' }),
  };
  const sent = async function* () {
    yield { calls: [forged], cancelled: [] };
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

test('calls go by themselves to a service of the version before', async () => {
  const client = clientOf(await startServer());
  for (const text of ['one', 'two', 'three'])
    expect(await client.say({ text }, ctx())).toEqual({ text: `you said ${text}` });
});

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
  const next = await start(async ({ text }) => ({ text: `${text} again` }), ['tester'], port);
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
