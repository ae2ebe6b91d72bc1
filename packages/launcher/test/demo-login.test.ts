import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { demoLogin } from '../src/demo-login.ts';

const secrets = { internalSecret: 'i', authMasterKey: 'm', demoEmail: 'demo@x', demoPassword: 'pass' };
const server = createServer();
afterEach(() => server.close());

const answering = async (status: number, body: string) => {
  server.once('request', (_request, response) => response.writeHead(status).end(body));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};

it.each([201, 409])('is the demo account, made now or long ago (%i)', async (status) => {
  const url = await answering(status, '{}');
  expect(await demoLogin(url, secrets)).toEqual({ email: 'demo@x', password: 'pass' });
});

it('says what the gateway said when the account cannot be made', async () => {
  const url = await answering(503, '{"code":"unavailable"}');
  await expect(demoLogin(url, secrets)).rejects.toThrow(
    'the demo account could not be made: 503 {"code":"unavailable"}',
  );
});
