import { type ConsulAgent, startConsul } from '@skein/components';
import { testDiscovery } from '@skein/discovery/testing';
import { createLogger } from '@skein/telemetry';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { consulApi } from '../src/consul-api.ts';
import { consulDiscovery } from '../src/index.ts';

const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });
const urlOf = (agent: ConsulAgent): string => agent.httpAddress.replace('http:', 'consul:');

let agent: ConsulAgent;
beforeAll(async () => {
  agent = await startConsul({});
});
afterAll(async () => {
  await agent.stop();
});

testDiscovery('a real Consul', { dynamic: true }, async () => {
  const discovery = consulDiscovery({ url: urlOf(agent), log, ttlMs: 3_000 });
  await discovery.run();
  return { discovery, stop: () => discovery.stop() };
});

test('the catalogue shows the instance as passing, and nothing after it was drained', async () => {
  const discovery = consulDiscovery({ url: urlOf(agent), log });
  const api = consulApi(agent.httpAddress, '');
  const addresses = async () =>
    (await api.passing('auth', { index: 0, waitMs: 100, signal: new AbortController().signal })).addresses;
  const part = discovery.register({ service: 'auth', id: 'auth-1', host: '127.0.0.1', port: 7001 });
  await part.run();
  await vi.waitFor(async () => expect(await addresses()).toEqual([{ host: '127.0.0.1', port: 7001 }]), {
    timeout: 10_000,
  });
  await part.drain?.();
  await vi.waitFor(async () => expect(await addresses()).toEqual([]), { timeout: 10_000 });
});

test('a beat of an instance the agent does not know says so', async () => {
  const api = consulApi(agent.httpAddress, '');
  expect(await api.beat('nobody')).toBe(false);
  await api.deregister('nobody');
});

test('an instance that stops beating is critical after its time to live', async () => {
  const api = consulApi(agent.httpAddress, '');
  const query = { waitMs: 10_000, signal: new AbortController().signal };
  await api.register({
    service: 'silent',
    id: 'silent-1',
    address: { host: '127.0.0.1', port: 1 },
    ttlMs: 1_000,
    forgetMs: 60_000,
  });
  await vi.waitFor(async () =>
    expect((await api.passing('silent', { ...query, index: 0 })).addresses).toHaveLength(1),
  );
  await vi.waitFor(
    async () => expect((await api.passing('silent', { ...query, index: 0 })).addresses).toHaveLength(0),
    { timeout: 10_000 },
  );
});

test('with ACLs on, the token of the URL is used and without one everything is refused', async () => {
  const guarded = await startConsul({ acl: true });
  try {
    const withToken = consulApi(guarded.httpAddress, guarded.token);
    const registration = {
      service: 'auth',
      id: 'auth-1',
      address: { host: '127.0.0.1', port: 1 },
      ttlMs: 10_000,
      forgetMs: 60_000,
    };
    await withToken.register(registration);
    await expect(consulApi(guarded.httpAddress, '').register(registration)).rejects.toMatchObject({
      status: 403,
    });
  } finally {
    await guarded.stop();
  }
});
