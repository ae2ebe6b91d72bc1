import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import { AppError } from '@skein/contracts';
import { expect, test } from 'vitest';
import { afterTest, collect, ctx, startClient, startServer } from './fixture.ts';
import { type Probe, probeService } from './probe-service.ts';

test('a unary call answers', async () => {
  const client = startClient(await startServer());
  await expect(client.say({ text: 'hello' }, ctx())).resolves.toEqual({ text: 'you said hello' });
});

test('a server stream gives its values in order', async () => {
  const client = startClient(await startServer());
  const values = await collect(client.count({ text: '100' }, ctx()));
  expect(values.map(({ text }) => Number(text))).toEqual(Array.from({ length: 100 }, (_, n) => n + 1));
});

test('a bidirectional stream carries both ways', async () => {
  const client = startClient(await startServer());
  async function* requests() {
    for (const text of ['a', 'b', 'c']) yield { text };
  }
  expect(await collect(client.echo(requests(), ctx()))).toEqual([
    { text: 'a' },
    { text: 'b' },
    { text: 'c' },
  ]);
});

test('a fault arrives as it was thrown: code, detail, retry time, facts and fields', async () => {
  const thrown = new AppError('rate_limited', 'Slow down', {
    retryAfterMs: 1_234,
    meta: { limit: '5' },
    errors: [{ path: 'device.id', message: 'is too long' }],
  });
  const server = await startServer({
    say: async () => {
      throw thrown;
    },
    // biome-ignore lint/correctness/useYield: it fails before its first value
    count: async function* () {
      throw thrown;
    },
  });
  const client = startClient(server);
  const expected = {
    code: 'rate_limited',
    detail: 'Slow down',
    retryAfterMs: 1_234,
    meta: { limit: '5' },
    errors: [{ path: 'device.id', message: 'is too long' }],
  };
  await expect(client.say({ text: '' }, ctx())).rejects.toMatchObject(expected);
  await expect(collect(client.count({ text: '' }, ctx()))).rejects.toMatchObject(expected);
});

test('a mesh that routes by authority sees the one that was configured', async () => {
  const hosts: string[] = [];
  const server = new Server();
  const { path, responseSerialize, requestDeserialize } = probeService.say;
  const answer = (call: ServerUnaryCall<Probe, Probe>, respond: sendUnaryData<Probe>) => {
    hosts.push(call.getHost());
    respond(null, { text: '' });
  };
  server.register(path, answer, responseSerialize, requestDeserialize, 'unary');
  const port = await new Promise<number>((resolve) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (_, bound) => resolve(bound)),
  );
  afterTest(async () => server.forceShutdown());
  await startClient({ port }, { authority: 'auth.skein.svc.cluster.local' }).say({ text: '' }, ctx());
  expect(hosts).toEqual(['auth.skein.svc.cluster.local']);
});
