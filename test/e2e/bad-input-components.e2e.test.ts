import { createServer } from 'node:net';
import { type ConsulAgent, type NatsServer, startConsul, startNats } from '@skein/components';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openSocket } from './bad-input/answered.ts';
import { componentCases } from './bad-input/component-cases.ts';
import { type Device, openDevice } from './support/device.ts';
import { newPerson, type Person, type TestMesh, testMesh } from './support/mesh.ts';

const { consulAtStart, natsAtStart, consulLater, natsLater } = componentCases;
const services = ['gateway', 'auth', 'user', 'session-sync', 'agent'];
const giveUpMs = 30_000;

/** Ports that nothing listens on. */
const closedPorts = async (count: number): Promise<number[]> => {
  const probes = await Promise.all(
    Array.from({ length: count }, () => {
      const probe = createServer();
      return new Promise<typeof probe>((resolve) => probe.listen(0, '127.0.0.1', () => resolve(probe)));
    }),
  );
  const ports = probes.map((probe) => (probe.address() as { port: number }).port);
  await Promise.all(probes.map((probe) => new Promise((resolve) => probe.close(resolve))));
  return ports;
};

let on: TestMesh;
let consulPorts: { http: number; serf: number; server: number };
let natsPorts: { client: number; monitor: number };
let consul: ConsulAgent | undefined;
let nats: NatsServer | undefined;
let me: Person;
let phone: Device;

beforeAll(async () => {
  const [http = 0, serf = 0, server = 0, client = 0, monitor = 0] = await closedPorts(5);
  consulPorts = { http, serf, server };
  natsPorts = { client, monitor };
  on = await testMesh({
    env: { DISCOVERY_URL: `consul://127.0.0.1:${http}`, EVENTS_URL: `nats://127.0.0.1:${client}` },
  });
}, 120_000);

afterAll(async () => {
  phone?.close();
  await on?.[Symbol.asyncDispose]();
  await consul?.stop();
  await nats?.stop();
}, 60_000);

const get = async (path: string, token?: string) => {
  const response = await fetch(on.url + path, {
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(15_000),
  });
  const { traceId: _, ...said } = (await response.json()) as Record<string, unknown>;
  return { status: response.status, said };
};

const login = async (platform: string): Promise<{ status: number; said: Record<string, unknown> }> => {
  const response = await fetch(`${on.url}/v1/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      email: me?.email ?? 'nobody@example.test',
      password: me?.password ?? 'nothing',
      device: { id: platform, platform },
    }),
    signal: AbortSignal.timeout(15_000),
  });
  const { traceId: _, ...said } = (await response.json()) as Record<string, unknown>;
  return { status: response.status, said };
};

const answered = async (text: string) => {
  const { turnId } = await phone.say(text);
  await phone.until(`the answer to ${text}`, (frame) => {
    const event = frame['event'] as { type?: string; data?: { turnId?: string } } | undefined;
    return event?.type === 'message.completed' && event.data?.turnId === turnId;
  });
};

/** Set by the consumer of `user.login` in another service. */
const lastPlatform = async (): Promise<unknown> => {
  const { said } = await get('/v1/me', me.accessToken);
  return (said['lastLogin'] as { platform?: string } | undefined)?.platform;
};

/** A token that would be looked at, if there were keys to look at it with. */
const plausible = `${Buffer.from('{"alg":"EdDSA","typ":"at+jwt","kid":"k"}').toString('base64url')}.${Buffer.from('{"sub":"u"}').toString('base64url')}.AAAA`;

describe(`${consulAtStart.what}, and ${natsAtStart.what}`, () => {
  it('is up all the same, and says what it waits for', async () => {
    expect(await get('/healthz')).toEqual({ status: 200, said: { status: 'ok' } });
    expect(await get('/v1/health')).toEqual({ status: 200, said: { status: 'degraded' } });
    expect(await get('/readyz')).toEqual({ status: 503, said: consulAtStart.keys });
    for (const service of services.filter((name) => name !== 'gateway')) {
      expect(on.lines.some((line) => line.startsWith(service) && line.includes(natsAtStart.says))).toBe(true);
    }
  });

  it('answers calls with 503 and sockets with 4013', async () => {
    expect(await login('web')).toEqual({ status: 503, said: consulAtStart.call });
    expect(await get('/v1/me', plausible)).toEqual({ status: 503, said: consulAtStart.token });
    const one = await openSocket(on.url, '/v1/connect');
    one.socket.send(
      JSON.stringify({ type: 'hello', v: 1, token: plausible, device: { id: 'd', platform: 'web' } }),
    );
    await vi.waitFor(() => expect(one.closed?.code).toBe(4013), { timeout: 15_000 });
  }, 40_000);

  it('works without help when Consul comes, still without NATS', async () => {
    consul = await startConsul({ ports: consulPorts });
    await expect.poll(async () => (await get('/readyz')).status, { timeout: giveUpMs }).toBe(200);
    me = await newPerson(on.url);
    phone = await openDevice(on.url, 'phone', () => me.accessToken);
    await answered('without NATS');
    expect((await login('tablet')).status).toBe(200);
    expect(await lastPlatform()).not.toBe('tablet');
  }, 90_000);

  it('delivers what waited when NATS comes', async () => {
    nats = await startNats({ ports: natsPorts });
    await expect.poll(lastPlatform, { timeout: giveUpMs }).toBe('tablet');
    await answered('with NATS');
  }, 90_000);
});

describe(consulLater.what, () => {
  it('goes on, and everybody registers again with one that came back empty', async () => {
    await consul?.kill();
    await consul?.stop();
    await answered('without Consul');
    expect((await login('desktop')).status).toBe(200);
    await expect.poll(lastPlatform, { timeout: giveUpMs }).toBe('desktop');
    consul = await startConsul({ ports: consulPorts });
    for (const service of services) {
      const url = `${consul.httpAddress}/v1/health/service/${service}?passing=true`;
      const passing = async () => ((await (await fetch(url)).json()) as unknown[]).length;
      await expect.poll(passing, { timeout: giveUpMs, message: service }).toBe(1);
    }
    expect((await get('/v1/me', me.accessToken)).status).toBe(200);
  }, 120_000);
});

describe(natsLater.what, () => {
  it('goes on, and delivers afterwards', async () => {
    await nats?.kill();
    // Its store goes with it.
    await nats?.stop();
    await answered('NATS is gone');
    expect((await login('watch')).status).toBe(200);
    nats = await startNats({ ports: natsPorts });
    await expect.poll(lastPlatform, { timeout: giveUpMs }).toBe('watch');
    await answered('NATS is back');
  }, 120_000);
});

it('has needed no restart', () => {
  expect([...on.mesh.processes.values()].map(({ starts }) => starts)).toEqual([1, 1, 1, 1, 1]);
});
