import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@skein/telemetry';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Overrides } from '../src/compose.ts';
import { httpServer } from '../src/http/server.ts';
import { connectionGuard } from '../src/limits/connection-guard.ts';
import { type FakeMesh, fakeMesh } from './fakes.ts';
import { problem, startGateway, type TestGateway } from './gateway.ts';
import { openRaw, rawRequest } from './raw-request.ts';

let mesh: FakeMesh;
const started: { stop(): Promise<void> }[] = [];

beforeAll(async () => {
  mesh = await fakeMesh();
});
afterEach(async () => {
  for (const one of started.splice(0)) await one.stop();
});
afterAll(async () => mesh?.stop());

const start = async (
  env: Readonly<Record<string, string>> = {},
  over: Overrides = {},
): Promise<TestGateway> => {
  const gateway = await startGateway(mesh, env, over);
  started.push(gateway);
  return gateway;
};

const log = createLogger({ service: 'gateway', instance: 'test', level: 'silent' });
const get = (path: string, port: number) => `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`;

describe('readiness', () => {
  it.each([
    ['ready once the signing keys are there', {}, 200],
    [
      'not ready while auth is away',
      {
        DISCOVERY_URL: 'static:auth=127.0.0.1:1,user=127.0.0.1:1,session-sync=127.0.0.1:1,agent=127.0.0.1:1',
      },
      503,
    ],
  ])('is the same on the public and on the management port: %s', async (_, env, expected) => {
    const { gateway, port } = await start(env);
    for (const at of [port, gateway.managementPort]) {
      const status = async () => (await fetch(`http://127.0.0.1:${at}/readyz`)).status;
      await expect.poll(status, { timeout: 10_000 }).toBe(expected);
    }
  });
});

/** Connections that the kernel dropped so far because too many waited to be taken. */
const overflows = async (): Promise<number> => {
  const lines = (await readFile('/proc/net/netstat', 'utf8')).split('\n');
  const [names = [], values = []] = lines
    .filter((line) => line.startsWith('TcpExt:'))
    .map((line) => line.split(' '));
  return Number(values[names.indexOf('ListenOverflows')]);
};

describe('connections', () => {
  it('are all taken when thousands come in one moment', async () => {
    const server = httpServer({
      ...{ host: '127.0.0.1', port: 0, log, guard: undefined },
      ...{ handler: () => {}, isStream: () => false, onLeaving: () => {} },
    });
    started.push({ stop: async () => server.stop?.() });
    await server.run();
    const burst = async () => {
      const before = await overflows();
      const lines = Array.from({ length: 2_000 }, () => connect(server.port, '127.0.0.1'));
      await Promise.all(lines.map((line) => once(line, 'connect')));
      for (const line of lines) line.destroy();
      return (await overflows()) - before;
    };
    // Of the whole machine: somebody else's may come in between, not every time.
    await expect.poll(burst, { timeout: 30_000 }).toBe(0);
  }, 40_000);

  it('cuts whoever sends headers or a body too slowly', async () => {
    const server = httpServer({
      ...{ host: '127.0.0.1', port: 0, log, guard: undefined },
      handler: (req, res) => req.on('end', () => res.end('late')).resume(),
      isStream: () => false,
      onLeaving: () => {},
      timeouts: { headersMs: 50, requestMs: 100 },
    });
    started.push(server);
    await server.run();
    expect(await rawRequest(server.port, 'GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ')).toMatch(/^HTTP\/1.1 408 /);
    const body = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"a":';
    expect(await rawRequest(server.port, body)).toMatch(/^HTTP\/1.1 408 /);
  });

  it('refuses the connection above the bound of an address that has not signed in', async () => {
    const gateway = await start({ UNAUTHENTICATED_PER_ADDRESS: '3' });
    const waiting = [1, 2, 3].map(() => openRaw(gateway.port, 'GET /healthz'));
    await expect.poll(() => rawRequest(gateway.port, '')).toMatch(/^HTTP\/1.1 429 /);
    const refused = await rawRequest(gateway.port, '');
    expect(refused).toContain('Retry-After: 5\r\n');
    expect(JSON.parse(refused.split('\r\n\r\n')[1] ?? '')).toMatchObject({
      ...{ status: 429, code: 'too_many_connections', retryable: true, retryAfterMs: 5_000 },
    });
    waiting[0]?.destroy();
    const once = get('/healthz', gateway.port).replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n');
    await expect.poll(() => rawRequest(gateway.port, once)).toMatch(/^HTTP\/1.1 200 /);
    for (const one of waiting) one.destroy();
  });

  it('does not count a connection that has signed in', async () => {
    const gateway = await start({ UNAUTHENTICATED_PER_ADDRESS: '1' });
    const token = await gateway.login('u1');
    const request = get('/v1/spaces', gateway.port).replace(
      '\r\n\r\n',
      `\r\nAuthorization: Bearer ${token}\r\n\r\n`,
    );
    const first = openRaw(gateway.port, request);
    await expect.poll(() => first.received()).toMatch(/^HTTP\/1.1 501 /);
    const second = openRaw(gateway.port, request);
    await expect.poll(() => second.received()).toMatch(/^HTTP\/1.1 501 /);
    for (const one of [first, second]) one.destroy();
  });

  it('finishes what is in hand before it stops, and takes nothing new', async () => {
    const entered = Promise.withResolvers<void>();
    const finish = Promise.withResolvers<void>();
    const server = httpServer({
      ...{ host: '127.0.0.1', port: 0, log, guard: connectionGuard(() => 10) },
      handler: async (_req, res) => {
        entered.resolve();
        await finish.promise;
        res.end('done');
      },
      isStream: () => false,
      onLeaving: () => {},
      quietMs: 0,
    });
    started.push(server);
    await server.run();
    const { port } = server;
    const inHand = fetch(`http://127.0.0.1:${port}/`);
    await entered.promise;
    let drained = false;
    const drain = server.drain?.().then(() => {
      drained = true;
    });
    await expect.poll(() => server.server.listening).toBe(false);
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow();
    expect(drained).toBe(false);
    finish.resolve();
    expect(await (await inHand).text()).toBe('done');
    await drain;
  });

  it('answers once more whoever sends while it leaves, and says that the connection ends', async () => {
    const server = httpServer({
      ...{ host: '127.0.0.1', port: 0, log, guard: undefined },
      handler: (_req, res) => void res.end('done'),
      isStream: () => false,
      onLeaving: () => {},
      quietMs: 200,
    });
    started.push(server);
    await server.run();
    const busy = openRaw(server.port, get('/', server.port));
    await expect.poll(() => busy.received()).toMatch(/^HTTP\/1.1 200 [\s\S]*keep-alive[\s\S]*done$/);
    const idle = openRaw(server.port, get('/', server.port));
    await expect.poll(() => idle.received()).toMatch(/done$/);
    const drain = server.drain?.();
    busy.send(get('/', server.port));
    await busy.closed;
    expect(busy.received()).toMatch(/done[\s\S]*HTTP\/1.1 200 [\s\S]*Connection: close[\s\S]*done$/);
    await Promise.all([drain, idle.closed]);
  });

  it('does not wait for ever for those who go on asking', async () => {
    const server = httpServer({
      ...{ host: '127.0.0.1', port: 0, log, guard: undefined },
      handler: (_req, res) => void res.end('done'),
      isStream: () => false,
      onLeaving: () => {},
      quietMs: 50,
    });
    started.push(server);
    await server.run();
    let over = false;
    const ask = async (): Promise<void> => {
      while (!over) await fetch(`http://127.0.0.1:${server.port}/`).catch(() => {});
    };
    await fetch(`http://127.0.0.1:${server.port}/`);
    const asking = ask();
    // Without a bound it would wait as long as they ask.
    await expect(server.drain?.()).resolves.toBeUndefined();
    over = true;
    await asking;
  });

  it('keeps an idle connection longer than the proxies in front of it do', async () => {
    const { port } = await start();
    const answer = await fetch(`http://127.0.0.1:${port}/healthz`);
    const seconds = /timeout=(\d+)/.exec(answer.headers.get('keep-alive') ?? '')?.[1];
    expect(Number(seconds)).toBeGreaterThan(60);
  });

  it('names the port that is in use', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    await expect(start({ PORT: String(port) })).rejects.toThrow(
      `Cannot listen on 127.0.0.1:${port}: the port is in use (set PORT)`,
    );
    await new Promise((resolve) => other.close(resolve));
  });
});

describe('limits', () => {
  const at = Date.now();
  /** Rates do not recover while a slow machine runs the test. */
  const still = { clock: { now: () => at } };

  it('answers 429 with the time to wait, to people, addresses, and whoever tries passwords', async () => {
    const gateway = await start(
      { LOGINS_PER_MINUTE: '1', REGISTRATIONS_PER_HOUR: '1', MESSAGES_BURST: '1' },
      still,
    );
    const token = await gateway.login('u1');
    const limited = problem(429, 'rate_limited', 'Too many requests', {
      ...{ retryable: true, retryAfterMs: expect.any(Number) },
    });
    const account = { email: 'ada@example.org', password: 'correct horse' };
    const message = { clientMessageId: 'k', text: 'hi' };
    for (const [path, ask] of [
      ['/v1/auth/login', { body: account }],
      ['/v1/auth/register', { body: account }],
      ['/v1/spaces/personal/messages', { token, body: message }],
    ] as const) {
      expect((await gateway.ask('POST', path, ask)).status, path).toBe(501);
      const refused = await gateway.ask('POST', path, ask);
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
      expect([refused.status, await refused.json()]).toEqual([429, limited]);
    }
  });

  it('counts forged tokens by address, but never probes', async () => {
    const gateway = await start({ ANONYMOUS_PER_SECOND: '1' }, still);
    const statuses: number[] = [];
    for (let times = 0; times < 4; times += 1) {
      statuses.push((await gateway.ask('GET', '/v1/me', { token: 'forged' })).status);
    }
    expect(statuses).toEqual([401, 401, 429, 429]);
    for (let times = 0; times < 4; times += 1) {
      expect((await gateway.ask('GET', '/healthz')).status).toBe(200);
    }
  });
});

describe('configuration', () => {
  it('sends Strict-Transport-Security only behind TLS', async () => {
    const gateway = await start({ BEHIND_TLS: 'true' });
    const { headers } = await gateway.ask('GET', '/healthz');
    expect(headers.get('strict-transport-security')).toBe('max-age=31536000; includeSubDomains');
  });

  it('serves the console: its files, its pages, hashed assets for ever', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'skein-console-'));
    started.push({ stop: () => rm(directory, { recursive: true }) });
    await mkdir(join(directory, 'assets'));
    await writeFile(join(directory, 'index.html'), '<!doctype html><title>Console</title>');
    await writeFile(join(directory, 'assets', 'app-1a2b3c.js'), 'export {}');
    const gateway = await start({ CONSOLE_DIR: directory });
    const html = { headers: { accept: 'text/html' } };
    for (const path of ['/', '/settings/devices']) {
      const page = await gateway.ask('GET', path, html);
      expect([page.status, page.headers.get('cache-control')]).toEqual([200, 'no-cache']);
      expect(await page.text()).toContain('Console');
    }
    const asset = await gateway.ask('GET', '/assets/app-1a2b3c.js');
    expect(asset.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    for (const path of [
      '/assets/gone.js',
      '/v1/nothing',
      '/../../etc/passwd',
      '/assets/..%2f..%2fetc%2fpasswd',
    ]) {
      expect((await gateway.ask('GET', path)).status, path).toBe(404);
    }
    expect((await gateway.ask('GET', '/v1/nothing', html)).status).toBe(404);
  });

  it('begins its own trace, whatever the client says', async () => {
    const gateway = await start();
    const traceId = 'a'.repeat(32);
    const headers = { traceparent: `00-${traceId}-${'b'.repeat(16)}-01`, baggage: 'user=root' };
    const { body } = await gateway.json('GET', '/v1/nothing', { headers });
    expect(body).toEqual(problem(404, 'not_found', 'There is nothing at this path'));
    expect((body as { traceId: string }).traceId).not.toBe(traceId);
  });
});
