import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type TestMesh, testMesh } from '../e2e/support/mesh.ts';
import { chartScript } from './support/chart-script.ts';

let on: TestMesh;
beforeAll(async () => {
  on = await testMesh({ env: { AGENT_OFFLINE_PACE_MS: '1' } });
}, 120_000);
afterAll(() => on?.[Symbol.asyncDispose](), 60_000);

/** Where a service said that its gRPC port is. */
const grpcUrl = (service: string): string => {
  const line = on.lines.find((one) => one.startsWith(`${service} `) && one.includes('grpc listens'));
  const [, port] = /"port":(\d+)/.exec(line ?? '') ?? [];
  return `http://127.0.0.1:${port}`;
};

const helmTest = (forbidden: string) =>
  chartScript('end-to-end.mjs', {
    GATEWAY_URL: on.url,
    FORBIDDEN_URL: forbidden,
    FORBIDDEN_METHOD: '/skein.auth.v1.AuthService/GetAccount',
    TEST_SECONDS: '60',
  });

/** An HTTP/2 server that ends every call with the given status of gRPC. */
const grpcThatSays = async (status: string): Promise<string> => {
  const server = createServer();
  server.on('stream', (stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status }));
    stream.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};

describe('what "helm test" runs', () => {
  it('passes on a mesh that works: registered, connected, answered, and refused by the service itself', {
    timeout: 90_000,
  }, async () => {
    const { ok, output } = await helmTest(grpcUrl('auth'));
    expect(ok, output).toBe(true);
    expect(output).toContain('refused without a token');
    expect(output).toContain('a person is registered');
    expect(output).toContain('the message is stored');
    expect(output).toMatch(/answered: ".+"/);
    expect(output).toContain('refused by the service (no token of a service)');
  });

  it('says when the mesh or the network refused first', { timeout: 90_000 }, async () => {
    expect((await helmTest(await grpcThatSays('7'))).output).toContain(
      'refused by the mesh (permission denied)',
    );
    expect((await helmTest('http://127.0.0.1:9')).output).toContain('refused by the network (ECONNREFUSED)');
  });

  it('fails when the call that nobody may make is answered', { timeout: 90_000 }, async () => {
    const { ok, output } = await helmTest(await grpcThatSays('0'));
    expect(ok).toBe(false);
    expect(output).toContain('FAILED: /skein.auth.v1.AuthService/GetAccount was answered with status 0');
  });

  it('fails when the callee is not found: that nobody answers proves nothing then', {
    timeout: 90_000,
  }, async () => {
    const { ok, output } = await helmTest('http://nowhere.invalid:50051');
    expect(ok).toBe(false);
    expect(output).toMatch(
      /FAILED: nowhere\.invalid was not found \((ENOTFOUND|EAI_AGAIN)\), so nothing was proved/,
    );
  });

  it('waits for a gateway that is not let through at once, and finds its services a moment later', {
    timeout: 90_000,
  }, async () => {
    const statuses: Record<string, number[]> = { '/v1/me': [401], '/v1/auth/register': [503, 503, 500] };
    const late = createHttpServer(({ url = '' }, response) =>
      response.writeHead(statuses[url]?.shift() ?? 404).end(),
    );
    let connections = 0;
    late.on('connection', (socket) => {
      connections += 1;
      if (connections === 1) socket.destroy();
    });
    late.listen(0, '127.0.0.1');
    await once(late, 'listening');
    onTestFinished(() => void late.close());
    const { port } = late.address() as AddressInfo;
    const env = { GATEWAY_URL: `http://127.0.0.1:${port}`, TEST_SECONDS: '60' };
    const { output } = await chartScript('end-to-end.mjs', env);
    expect(output).toContain('refused without a token');
    expect(output).toContain('FAILED: register was answered 500');
  });

  it('fails with a sentence when the gateway is not there', async () => {
    const env = { GATEWAY_URL: 'http://127.0.0.1:9', TEST_SECONDS: '3' };
    const { ok, output } = await chartScript('end-to-end.mjs', env);
    expect(ok).toBe(false);
    expect(output).toContain('FAILED: fetch failed (');
  });
});
