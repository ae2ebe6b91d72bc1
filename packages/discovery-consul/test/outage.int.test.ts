import { connectivityState } from '@grpc/grpc-js';
import { type ConsulAgent, startConsul } from '@skein/components';
import { connectTo, startInstance } from '@skein/discovery/testing';
import { createLogger } from '@skein/telemetry';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { consulApi } from '../src/consul-api.ts';
import { consulDiscovery } from '../src/index.ts';

const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });
const patience = { timeout: 15_000 };

let agent: ConsulAgent;
let cleanups: (() => unknown)[] = [];
beforeEach(async () => {
  agent = await startConsul({});
});
afterEach(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
  cleanups = [];
  await agent.stop();
});

/** Two registered instances and a client that has reached both. */
const twoInstances = async (options = {}) => {
  const discovery = consulDiscovery({
    url: agent.httpAddress.replace('http:', 'consul:'),
    log,
    ttlMs: 2_000,
  });
  const instances = [await startInstance('echo', 'a'), await startInstance('echo', 'b')];
  for (const { instance, kill } of instances) {
    const part = discovery.register(instance);
    await part.run();
    cleanups.push(kill, () => part.stop());
  }
  const { call, client, close } = connectTo(discovery.target('echo'), options);
  cleanups.push(() => discovery.stop(), close);
  const callers = async (times = 20) => {
    const names = new Set<string>();
    for (let n = 0; n < times; n += 1) names.add(await call());
    return [...names].sort();
  };
  await vi.waitFor(async () => expect(await callers()).toEqual(['a', 'b']), patience);
  return { discovery, callers, call, client, kill: (n: number) => instances[n]?.kill() };
};

test('while Consul is down calls go on, also when an instance dies', async () => {
  const { callers, kill } = await twoInstances();
  await agent.stop();
  expect(await callers(200)).toEqual(['a', 'b']);
  kill(0);
  await vi.waitFor(async () => expect(await callers(50)).toEqual(['b']), patience);
});

test('after a restart with an empty catalogue the instances are back by themselves, and no call fails meanwhile', async () => {
  const { discovery, callers } = await twoInstances();
  const { ports } = agent;
  await agent.stop();
  agent = await startConsul({ ports });
  const api = consulApi(agent.httpAddress, '');
  const query = { index: 0, waitMs: 100, signal: new AbortController().signal };
  await vi.waitFor(async () => {
    expect(await callers()).toEqual(['a', 'b']);
    expect((await api.passing('echo', query)).addresses).toHaveLength(2);
  }, patience);
  // The watch, too, follows the new agent: an instance that comes now is found.
  const c = await startInstance('echo', 'c');
  const part = discovery.register(c.instance);
  await part.run();
  cleanups.push(c.kill, () => part.stop());
  await vi.waitFor(async () => expect(await callers()).toEqual(['a', 'b', 'c']), patience);
});

test('a channel that was idle learns of instances that came meanwhile', async () => {
  const { discovery, callers, client } = await twoInstances({ 'grpc.client_idle_timeout_ms': 1_000 });
  await vi.waitFor(
    () => expect(client.getChannel().getConnectivityState(false)).toBe(connectivityState.IDLE),
    patience,
  );
  const c = await startInstance('echo', 'c');
  const part = discovery.register(c.instance);
  await part.run();
  cleanups.push(c.kill, () => part.stop());
  await vi.waitFor(async () => expect(await callers()).toEqual(['a', 'b', 'c']), patience);
});
