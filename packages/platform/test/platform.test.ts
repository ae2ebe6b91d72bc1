import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { implement, rootContext } from '@skein/rpc';
import { ConfigError, readConfig } from '@skein/service-kit';
import { afterEach, expect, test } from 'vitest';
import { openPlatform, type Platform, platformConfig } from '../src/index.ts';
import { echoService } from './echo-service.ts';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const base = {
  DATABASE_URL: 'postgres://127.0.0.1:1/none',
  DISCOVERY_URL: 'static:',
  INTERNAL_SECRET: 'a-secret-of-at-least-32-characters!',
  LOG_LEVEL: 'silent',
};
const open = (name: string, env: Record<string, string> = {}): Promise<Platform> =>
  openPlatform(name, readConfig(platformConfig, { ...base, ...env }));

const start = async (platform: Platform, parts: Parameters<Platform['lifecycle']>[0]) => {
  const service = platform.lifecycle(parts);
  await service.run();
  cleanups.push(async () => {
    await service.drain?.();
    await service.stop();
  });
  return service;
};

const fetchText = async (port: number, path: string, method = 'GET') => {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method });
  return { status: response.status, text: await response.text() };
};

test('two services find each other and one calls the other in its own name', async () => {
  const callers: string[] = [];
  const echo = await open('echo');
  const implementation = implement(
    echoService,
    {
      say: async ({ text }, { caller }) => {
        callers.push(caller);
        return { text };
      },
    },
    { allow: 'any' },
  );
  const server = echo.server([implementation]);
  await start(echo, [server]);
  const gateway = await open('gateway', { DISCOVERY_URL: `static:echo=127.0.0.1:${server.port}` });
  const client = gateway.client(echoService, 'echo');
  await start(gateway, []);
  await expect(client.say({ text: 'hello' }, rootContext({ timeoutMs: 5_000 }))).resolves.toEqual({
    text: 'hello',
  });
  expect(callers).toEqual(['gateway']);
});

test('probes and metrics are on the management port, and readiness ends with the drain', async () => {
  const platform = await open('auth');
  const server = platform.server([]);
  const service = platform.lifecycle([server]);
  await service.run();
  const port = server.managementPort;
  cleanups.push(() => service.stop());
  expect(await fetchText(port, '/healthz')).toEqual({ status: 200, text: 'ok\n' });
  expect(await fetchText(port, '/readyz')).toEqual({ status: 200, text: 'ready\n' });
  const metrics = await fetchText(port, '/metrics?x=1');
  expect(metrics.text).toContain('process_resident_memory_bytes ');
  expect(metrics.text).toContain('# TYPE rpc_server_call_duration_seconds histogram');
  expect((await fetchText(port, '/elsewhere')).status).toBe(404);
  expect((await fetchText(port, '/metrics', 'POST')).status).toBe(405);
  await service.drain?.();
  expect(await fetchText(port, '/readyz')).toEqual({ status: 503, text: 'not ready\n' });
  expect((await fetchText(port, '/healthz')).status).toBe(200);
});

test('a process that is not ready says so, starts all the same, and drains without ever having been', async () => {
  let ready = false;
  const platform = await open('gateway');
  const server = platform.server([], { ready: () => ready });
  const service = await start(platform, [server]);
  const status = async () => (await fetchText(server.managementPort, '/readyz')).status;
  expect(await status()).toBe(503);
  ready = true;
  expect(await status()).toBe(200);
  await service.drain?.();
  expect(await status()).toBe(503);
});

test.each([
  [{ GRPC_HOST: '0.0.0.0' }],
  [{ GRPC_HOST: '::' }],
  [{ GRPC_HOST: '0.0.0.0', DISCOVERY_ADDRESS: '0:0:0::0' }],
])('%o would be registered in Consul as nowhere, and is refused', async (env) => {
  const opened = open('auth', { DISCOVERY_URL: 'consul://127.0.0.1:1', ...env });
  await expect(opened).rejects.toBeInstanceOf(ConfigError);
  await expect(opened).rejects.toThrow('DISCOVERY_ADDRESS must be an address other services reach');
});

test.each([
  [{ DISCOVERY_URL: 'consul://127.0.0.1:1', GRPC_HOST: '0.0.0.0', DISCOVERY_ADDRESS: '10.1.2.3' }],
  [{ DISCOVERY_URL: 'consul://127.0.0.1:1', GRPC_HOST: 'auth.internal' }],
  [{ DISCOVERY_URL: 'static:', GRPC_HOST: '0.0.0.0' }],
])('%o is fine', async (env) => {
  expect((await open('auth', env)).name).toBe('auth');
});

test('a part that was opened here and is also given runs once, where it was given', async () => {
  const order: string[] = [];
  const platform = await open('gateway', { DISCOVERY_URL: 'static:echo=127.0.0.1:1' });
  const client = platform.client(echoService, 'echo');
  const { run } = client;
  Object.assign(client, {
    run: async () => {
      order.push('client');
      await run.call(client);
    },
  });
  const own = {
    id: 'own',
    run: async () => {
      order.push('own');
    },
    stop: async () => {},
  };
  await start(platform, [own, client]);
  expect(order).toEqual(['own', 'client']);
});

test('an instance has a name of its own unless it is given one', async () => {
  expect((await open('auth')).instance).toMatch(/^auth-[0-9a-f]{6}$/);
  expect((await open('auth', { INSTANCE_ID: 'auth-7' })).instance).toBe('auth-7');
});

test('the buses of NATS are chosen by their URL, and those of Postgres need the database first', async () => {
  const nats = (await open('auth', { EVENTS_URL: 'nats://127.0.0.1:1' })).events();
  expect(nats.live.peers).toBe(true);
  const platform = await open('session-sync');
  expect(() => platform.events()).toThrow('database before the events');
  platform.database([]);
  expect(platform.events().live.peers).toBe(false);
  expect(platform.events()).toBe(platform.events());
});

test('a list of NATS servers that cannot be read is a fault of the configuration', async () => {
  const opened = open('auth', { EVENTS_URL: 'nats://u:p@a:1,tls://b:1' });
  await expect(opened).rejects.toThrow('EVENTS_URL: the servers must all be nats: or all be tls:');
  await expect(opened).rejects.toBeInstanceOf(ConfigError);
});

test('every fault of the configuration is found at once', () => {
  const fault = () =>
    readConfig(platformConfig, {
      DATABASE_URL: 'mysql://x',
      DISCOVERY_URL: 'static:auth=nowhere',
      EVENTS_URL: 'kafka://x',
      GRPC_PORT: '70000',
      LOG_LEVEL: 'loud',
    });
  for (const sentence of [
    'DATABASE_URL must start with',
    'DISCOVERY_URL the address "nowhere" of auth is not host:port',
    'EVENTS_URL must start with',
    'GRPC_PORT must be',
    'LOG_LEVEL must be',
    'INTERNAL_SECRET is required',
  ]) {
    expect(fault).toThrow(sentence);
  }
});

test('by default nothing outside this machine is listened to', () => {
  const config = readConfig(platformConfig, base);
  expect([config.GRPC_HOST, config.MANAGEMENT_HOST]).toEqual(['127.0.0.1', '127.0.0.1']);
});

test('the config centre changes the log level of a running process', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'skein-platform-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'config.yaml');
  const platform = await open('echo', { CONFIG_URL: `file:${path}`, LOG_LEVEL: '' });
  await start(platform, []);
  expect(platform.log.level).toBe('info');
  await writeFile(path, 'all: { LOG_LEVEL: silent }\n');
  await expect.poll(() => platform.log.level).toBe('silent');
});

test('a config centre that is none is a fault of the configuration', async () => {
  await expect(open('echo', { CONFIG_URL: 'file:config.yaml' })).rejects.toThrow(
    new ConfigError(['CONFIG_URL: must be file:/absolute/path']),
  );
  await expect(open('echo', { CONFIG_URL: 'consul://' })).rejects.toThrow(
    new ConfigError(['CONFIG_URL: must be consul://host:port']),
  );
});
