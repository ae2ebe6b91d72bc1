import { type ConsulAgent, startConsul } from '@skein/components';
import { implement, rootContext } from '@skein/rpc';
import { readConfig } from '@skein/service-kit';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { openPlatform, platformConfig } from '../src/index.ts';
import { echoService } from './echo-service.ts';

let agent: ConsulAgent;
beforeAll(async () => {
  agent = await startConsul({});
});
afterAll(async () => {
  await agent.stop();
});
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const open = (name: string) =>
  openPlatform(
    name,
    readConfig(platformConfig, {
      DATABASE_URL: 'postgres://127.0.0.1:1/none',
      DISCOVERY_URL: agent.httpAddress.replace('http:', 'consul:'),
      INTERNAL_SECRET: 'a-secret-of-at-least-32-characters!',
      LOG_LEVEL: 'silent',
    }),
  );

/** An instance that answers with its own name after a moment. */
const startEcho = async () => {
  const platform = await open('echo');
  const implementation = implement(
    echoService,
    {
      say: async () => {
        await new Promise((resolve) => setImmediate(resolve));
        return { text: platform.instance };
      },
    },
    { allow: 'any' },
  );
  const service = platform.lifecycle([platform.server([implementation])]);
  await service.run();
  cleanups.push(() => service.stop());
  return { instance: platform.instance, service };
};

test('an instance that is drained under calls loses none, and one that comes later is used', async () => {
  const [a, b] = [await startEcho(), await startEcho()];
  const gateway = await open('gateway');
  const client = gateway.client(echoService, 'echo');
  const service = gateway.lifecycle([]);
  await service.run();
  cleanups.push(() => service.stop());

  const answers: Promise<string>[] = [];
  const timer = setInterval(() => {
    answers.push(client.say({ text: '' }, rootContext({ timeoutMs: 5_000 })).then(({ text }) => text));
  }, 2);
  cleanups.push(async () => clearInterval(timer));
  const recent = async () => new Set(await Promise.all(answers.slice(-30)));

  await expect.poll(recent, { timeout: 10_000 }).toEqual(new Set([a.instance, b.instance]));
  await a.service.drain?.();
  await a.service.stop();
  await expect.poll(recent, { timeout: 10_000 }).toEqual(new Set([b.instance]));
  const c = await startEcho();
  await expect.poll(recent, { timeout: 10_000 }).toEqual(new Set([b.instance, c.instance]));
  await expect.poll(() => answers.length, { timeout: 10_000 }).toBeGreaterThan(200);
  clearInterval(timer);
  const outcomes = await Promise.allSettled(answers);
  expect(outcomes.filter(({ status }) => status === 'rejected')).toEqual([]);
});

const catalogue = async (service: string) => {
  const response = await fetch(`${agent.httpAddress}/v1/health/service/${service}?passing=1`);
  const entries = (await response.json()) as readonly { readonly Service: { readonly ID: string } }[];
  return entries.map(({ Service }) => Service.ID);
};

test('an instance is in the catalogue as soon as it is ready, and not before', async () => {
  let asked = 0;
  let ready = false;
  const platform = await open('slow');
  const isReady = () => {
    asked += 1;
    return ready;
  };
  const service = platform.lifecycle([platform.server([], { ready: isReady })]);
  await service.run();
  cleanups.push(() => service.stop());
  await expect.poll(() => asked).toBeGreaterThan(2);
  expect(await catalogue('slow')).toEqual([]);
  ready = true;
  await expect.poll(() => catalogue('slow'), { timeout: 10_000 }).toEqual([platform.instance]);
  await service.drain?.();
  await expect.poll(() => catalogue('slow'), { timeout: 10_000 }).toEqual([]);
});

test('the catalogue names the instance, and it is gone after the drain', async () => {
  const { instance, service } = await startEcho();
  await expect.poll(() => catalogue('echo'), { timeout: 10_000 }).toContain(instance);
  await service.drain?.();
  await expect.poll(() => catalogue('echo'), { timeout: 10_000 }).not.toContain(instance);
});
