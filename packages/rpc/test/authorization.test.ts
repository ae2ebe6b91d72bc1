import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { type CallContext, identity, implement, maxIdempotencyKeyLength } from '../src/index.ts';
import { collect, ctx, handlers, probeService, secret, startClient, startServer } from './fixture.ts';

const actor = { userId: 'u1', sessionId: 's1', scopes: ['chat'], deviceId: 'd1', platform: 'web' };

test('a handler knows the calling service, the person, the correlation and the idempotency key', async () => {
  const seen: CallContext[] = [];
  const server = await startServer({
    say: async ({ text }, context) => {
      seen.push(context);
      return { text };
    },
  });
  await startClient(server).say({ text: '' }, ctx({ actor, correlationId: 'c-1', idempotencyKey: 'k-1' }));
  expect(seen[0]).toMatchObject({ caller: 'tester', actor, correlationId: 'c-1', idempotencyKey: 'k-1' });
});

test('a context that is passed on carries the person to the next service', async () => {
  const seen: CallContext[] = [];
  const last = startClient(
    await startServer({
      say: async ({ text }, context) => {
        seen.push(context);
        return { text };
      },
    }),
    { identity: identity({ service: 'middle', secret }) },
  );
  const server = await startServer({ say: (request, context) => last.say(request, context) });
  await startClient(server).say({ text: '' }, ctx({ actor, correlationId: 'c-1' }));
  expect(seen[0]).toMatchObject({ caller: 'middle', actor, correlationId: 'c-1' });
});

const bareCall = async (port: number, authorization?: string): Promise<ServiceError | null> => {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const metadata = new Metadata();
  if (authorization !== undefined) metadata.set('authorization', authorization);
  const { path, requestSerialize, responseDeserialize } = probeService.say;
  const error = await new Promise<ServiceError | null>((resolve) =>
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      { text: '' },
      metadata,
      { deadline: Date.now() + 5_000 },
      resolve,
    ),
  );
  client.close();
  return error;
};

test.each([
  ['no token', () => undefined],
  ['a forged one', () => identity({ service: 'gateway', secret: 'x'.repeat(32) }).sign(actor)],
  ['an expired one', () => identity({ service: 'gateway', secret, clock: { now: () => 1_000 } }).sign(actor)],
  ["a person's bearer token", () => 'Bearer eyJhbGciOiJub25lIn0.e30.'],
])('%s is refused, and the handler never runs', async (_, token) => {
  let ran = false;
  const { port } = await startServer({
    say: async () => {
      ran = true;
      return { text: '' };
    },
  });
  expect(await bareCall(port, token())).toMatchObject({ code: status.UNAUTHENTICATED });
  expect(ran).toBe(false);
});

test('the same for a stream', async () => {
  const client = startClient(await startServer(), {
    identity: identity({ service: 'tester', secret: 'x'.repeat(32) }),
  });
  await expect(collect(client.count({ text: '3' }, ctx()))).rejects.toMatchObject({
    code: 'unauthenticated',
  });
});

test('a caller that may not call is refused before its request is read', async () => {
  let read = 0;
  const counted = <M extends typeof probeService.say | typeof probeService.count>(method: M): M => ({
    ...method,
    requestDeserialize: (bytes: Buffer) => {
      read += 1;
      return method.requestDeserialize(bytes);
    },
  });
  const definition = { ...probeService, say: counted(probeService.say), count: counted(probeService.count) };
  const allow = { say: ['gateway'], count: ['gateway'], echo: ['gateway'] };
  const server = await startServer({}, { implementations: [implement(definition, handlers, { allow })] });
  for (const stranger of [
    startClient(server),
    startClient(server, { identity: identity({ service: 'gateway', secret: 'x'.repeat(32) }) }),
  ]) {
    await expect(stranger.say({ text: '' }, ctx())).rejects.toThrow();
    await expect(collect(stranger.count({ text: '1' }, ctx()))).rejects.toThrow();
    await expect(collect(stranger.echo((async function* () {})(), ctx()))).rejects.toThrow();
  }
  expect(read).toBe(0);
  const gateway = startClient(server, { identity: identity({ service: 'gateway', secret }) });
  await gateway.say({ text: '' }, ctx());
  await collect(gateway.count({ text: '1' }, ctx()));
  expect(read).toBe(2);
});

test('a method for which nobody has said who may call it is a bug', async () => {
  const allow = { say: ['gateway'], count: ['gateway'] } as unknown as Record<
    'say' | 'count' | 'echo',
    'any'
  >;
  await expect(startServer({}, { policy: { allow } })).rejects.toThrow('who may call echo');
});

test('a service that is not on the list of a method may not call it, but may call the others', async () => {
  const server = await startServer(
    {},
    { policy: { allow: { say: ['gateway'], count: ['tester'], echo: 'any' } } },
  );
  const tester = startClient(server);
  await expect(tester.say({ text: '' }, ctx())).rejects.toMatchObject({ code: 'forbidden' });
  await expect(collect(tester.count({ text: '1' }, ctx()))).resolves.toHaveLength(1);
  const gateway = startClient(server, { identity: identity({ service: 'gateway', secret }) });
  await expect(gateway.say({ text: 'x' }, ctx())).resolves.toEqual({ text: 'you said x' });
});

test('what cannot travel as a header is replaced or refused before it is sent', async () => {
  expect(ctx({ correlationId: 'not\nplain' }).correlationId).toMatch(/^[0-9a-f-]{36}$/);
  expect(ctx({ correlationId: 'x'.repeat(129) }).correlationId).toMatch(/^[0-9a-f-]{36}$/);
  for (const idempotencyKey of ['', 'snow ☃', 'a key', 'k'.repeat(maxIdempotencyKeyLength + 1)])
    expect(() => ctx({ idempotencyKey })).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  const longest = 'k'.repeat(maxIdempotencyKeyLength);
  expect(ctx({ idempotencyKey: longest }).idempotencyKey).toBe(longest);
});
