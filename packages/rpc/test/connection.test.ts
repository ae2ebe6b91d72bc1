import { fork } from 'node:child_process';
import { once } from 'node:events';
import { AppError } from '@skein/contracts';
import { expect, test } from 'vitest';
import { afterTest, collect, ctx, startClient, startServer } from './fixture.ts';

test('calls wait for a service that is about to start', async () => {
  const first = await startServer();
  const { port } = first;
  await first.stop();
  const call = startClient({ port }).say({ text: 'x' }, ctx());
  await startServer({}, { port });
  await expect(call).resolves.toEqual({ text: 'you said x' });
});

test('a server that was restarted on its port is found again without a failed call', async () => {
  const first = await startServer();
  const client = startClient(first);
  await client.say({ text: '' }, ctx());
  await first.stop();
  const during = client.say({ text: 'x' }, ctx());
  await startServer({}, { port: first.port });
  await expect(during).resolves.toEqual({ text: 'you said x' });
});

test('a service that stays away is not waited for longer than agreed, and then not at all', async () => {
  const first = await startServer();
  const { port } = first;
  await first.stop();
  const client = startClient({ port }, { waitMs: 300 });
  // Waiting to the deadline would end as deadline_exceeded.
  await expect(client.say({ text: '' }, ctx({ timeoutMs: 10_000 }))).rejects.toMatchObject({
    code: 'unavailable',
    retryAfterMs: 1_000,
  });
  await expect(collect(client.count({ text: '1' }, ctx({ timeoutMs: 10_000 })))).rejects.toMatchObject({
    code: 'unavailable',
  });
  await startServer({}, { port });
  await expect
    .poll(() => client.say({ text: 'x' }, ctx()).catch(() => {}), { timeout: 10_000 })
    .toEqual({
      text: 'you said x',
    });
});

test('the deadline of a call is also the end of its waiting', async () => {
  const first = await startServer();
  const { port } = first;
  await first.stop();
  const client = startClient({ port }, { waitMs: 60_000 });
  await expect(client.say({ text: '' }, ctx({ timeoutMs: 200 }))).rejects.toMatchObject({
    code: 'deadline_exceeded',
  });
});

/** A server in a process of its own, which can be killed. */
const startProcess = async () => {
  const child = fork(new URL('./server-process.ts', import.meta.url));
  const [port] = (await once(child, 'message')) as [number];
  const exited = once(child, 'exit');
  const kill = async () => {
    child.kill('SIGKILL');
    await exited;
  };
  afterTest(kill);
  return { port, kill };
};

test('when one of two instances is killed under calls, the other one answers them', async () => {
  const [a, b] = await Promise.all([startProcess(), startProcess()]);
  const client = startClient(`ipv4:127.0.0.1:${a.port},127.0.0.1:${b.port}`, { retryable: ['say'] });
  const ports = async (times: number) => {
    const answers = await Promise.all(Array.from({ length: times }, () => client.say({ text: '' }, ctx())));
    return new Set(answers.map(({ text }) => Number(text)));
  };
  await expect.poll(() => ports(20), { timeout: 10_000 }).toEqual(new Set([a.port, b.port]));
  const during = Array.from({ length: 200 }, () => client.say({ text: '' }, ctx()));
  await a.kill();
  await expect(Promise.all(during)).resolves.toHaveLength(200);
  expect(await ports(50)).toEqual(new Set([b.port]));
});

test('a connection that ends while a call that may not be repeated is open makes it unavailable', async () => {
  const server = await startServer({ say: () => new Promise(() => {}) });
  const client = startClient(server);
  const call = client.say({ text: '' }, ctx());
  const ended = expect(call).rejects.toBeInstanceOf(AppError);
  await client.count({ text: '1' }, ctx())[Symbol.asyncIterator]().next();
  await server.stop();
  await ended;
  await expect(call).rejects.toMatchObject({ code: 'unavailable' });
});
