import { connectTo, startInstance, testDiscovery } from '@skein/discovery/testing';
import { createLogger, createMetrics } from '@skein/telemetry';
import { expect, test, vi } from 'vitest';
import { consulDiscovery } from '../src/index.ts';
import { fakeConsul } from './fake-consul.ts';

const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });

testDiscovery('Consul, its HTTP API played by a fake', { dynamic: true }, async () => {
  const consul = await fakeConsul();
  const discovery = consulDiscovery({ url: consul.url, log, ttlMs: 3_000 });
  await discovery.run();
  return {
    discovery,
    stop: async () => {
      await discovery.stop();
      await consul.stop();
    },
  };
});

test('an instance is registered with its address, a passing TTL check and a time to be forgotten', async () => {
  const consul = await fakeConsul();
  const discovery = consulDiscovery({ url: consul.url, log });
  const part = discovery.register({ service: 'auth', id: 'auth-1', host: '127.0.0.1', port: 7001 });
  await part.run();
  expect(consul.services.get('auth-1')).toEqual({
    ID: 'auth-1',
    Name: 'auth',
    Address: '127.0.0.1',
    Port: 7001,
    Check: {
      CheckID: 'service:auth-1',
      TTL: '10s',
      Status: 'passing',
      DeregisterCriticalServiceAfter: '60s',
    },
  });
  await part.stop();
  expect(consul.services.size).toBe(0);
  await consul.stop();
});

test('a Consul that was restarted empty has the instances again by itself', async () => {
  const consul = await fakeConsul();
  const discovery = consulDiscovery({ url: consul.url, log, ttlMs: 300 });
  const part = discovery.register({ service: 'auth', id: 'auth-1', host: '127.0.0.1', port: 7001 });
  await part.run();
  await consul.stop();
  await consul.restart();
  await vi.waitFor(() => expect([...consul.services.keys()]).toEqual(['auth-1']), { timeout: 5_000 });
  await part.stop();
  await consul.stop();
});

test('it says whether Consul answers, and how many instances calls go to', async () => {
  const consul = await fakeConsul();
  const metrics = createMetrics();
  const discovery = consulDiscovery({ url: consul.url, log, ttlMs: 300, metrics });
  const echo = await startInstance('echo', 'a');
  const part = discovery.register(echo.instance);
  await part.run();
  expect(metrics.print()).toContain('skein_consul_up 1\n');
  const { call, close } = connectTo(discovery.target('echo'));
  await call();
  expect(metrics.print()).toContain('skein_consul_instances{target="echo"} 1\n');
  await consul.stop();
  await expect.poll(() => metrics.print(), { timeout: 5_000 }).toContain('skein_consul_up 0\n');
  expect(metrics.print()).toContain('skein_consul_instances{target="echo"} 1\n');
  await consul.restart();
  await expect.poll(() => metrics.print(), { timeout: 5_000 }).toContain('skein_consul_up 1\n');
  close();
  await part.stop();
  await discovery.stop();
  await echo.kill();
  await consul.stop();
});

test('installations with names of their own share a Consul and do not see each other', async () => {
  const consul = await fakeConsul();
  const others = consulDiscovery({ url: `${consul.url}/other`, log });
  const ours = consulDiscovery({ url: `${consul.url}/ours`, log });
  const [theirs, echo] = [await startInstance('echo', 'theirs'), await startInstance('echo', 'ours')];
  const parts = [others.register(theirs.instance), ours.register(echo.instance)];
  for (const part of parts) await part.run();
  expect([...consul.services.values()].map(({ Name }) => Name).sort()).toEqual(['other-echo', 'ours-echo']);
  const { call, close } = connectTo(ours.target('echo'));
  for (let calls = 0; calls < 4; calls += 1) expect(await call()).toBe('ours');
  close();
  for (const part of parts) await part.stop();
  for (const one of [others, ours]) await one.stop();
  for (const one of [theirs, echo]) await one.kill();
  await consul.stop();
});

test.each([
  'consul:',
  'http://127.0.0.1:8500',
  'consul://',
  'consul://127.0.0.1:8500/a/b',
  'consul://127.0.0.1:8500/A',
])('%s is refused with a sentence', (url) => {
  expect(() => consulDiscovery({ url, log })).toThrow('consul://host:port');
});

test('the target names the agent and the service', () => {
  expect(consulDiscovery({ url: 'consul://127.0.0.1', log }).target('auth')).toBe(
    'consul://127.0.0.1:8500/auth',
  );
});
