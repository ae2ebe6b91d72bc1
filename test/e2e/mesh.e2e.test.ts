import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import { componentPath } from '@skein/components';
import { userV1 } from '@skein/contracts';
import { traceTree } from '@skein/launcher';
import { identity, rootContext, rpcClient } from '@skein/rpc';
import { createLogger, createMetrics } from '@skein/telemetry';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type Device, openDevice } from './support/device.ts';
import { newPerson, type Person, type TestMesh, testMesh } from './support/mesh.ts';

const run = promisify(execFile);
const services = ['gateway', 'auth', 'user', 'session-sync', 'agent'];
const giveUpMs = 60_000;

let on: TestMesh;
let person: Person;
let phone: Device;

beforeAll(async () => {
  on = await testMesh({
    mesh: true, // The load of these drills comes from one person.
    env: { AGENT_OFFLINE_PACE_MS: '5', REQUESTS_PER_SECOND: '1000' },
  });
  person = await newPerson(on.url);
  phone = await openDevice(on.url, 'phone', () => person.accessToken);
}, 180_000);

afterAll(async () => {
  phone?.close();
  await on?.[Symbol.asyncDispose]();
}, 90_000);

const consul = async (path: string): Promise<unknown> =>
  (await fetch(`${on.mesh.consul?.()?.httpAddress}${path}`)).json();

const passing = async (service: string): Promise<number> =>
  ((await consul(`/v1/health/service/${service}?passing=true`)) as unknown[]).length;

const addressOf = async (service: string): Promise<string> => {
  const [first] = (await consul(`/v1/health/service/${service}?passing=true`)) as {
    Service: { Address: string; Port: number };
  }[];
  return `${first?.Service.Address}:${first?.Service.Port}`;
};

/** The user service as the gateway sees it: notices have no public address yet. */
const userClient = async () => {
  const client = rpcClient(userV1.UserServiceService, {
    service: 'user',
    target: `dns:${await addressOf('user')}`,
    identity: identity({ service: 'gateway', secret: on.mesh.secrets.internalSecret }),
    log: createLogger({ service: 'test', instance: 'test', level: 'silent' }),
    metrics: createMetrics(),
  });
  onTestFinished(() => client.stop());
  return client;
};

const me = () =>
  fetch(`${on.url}/v1/me`, {
    headers: { authorization: `Bearer ${person.accessToken}` },
    signal: AbortSignal.timeout(10_000),
  });

/** Calls at a fixed pace until it is stopped; `stop` gives what failed, with the time it was noticed. */
const underLoad = (perSecond: number) => {
  const pending = new Set<Promise<void>>();
  const failures: { atMs: number; why: string }[] = [];
  let calls = 0;
  const one = async () => {
    calls += 1;
    const why = await me().then(
      async (response) => (response.status === 200 ? '' : `${response.status} ${await response.text()}`),
      String,
    );
    if (why !== '') failures.push({ atMs: performance.now(), why });
  };
  const timer = setInterval(() => {
    const work = one().finally(() => pending.delete(work));
    pending.add(work);
  }, 1_000 / perSecond);
  return {
    get calls() {
      return calls;
    },
    reaches: (count: number) => expect.poll(() => calls, { timeout: giveUpMs }).toBeGreaterThanOrEqual(count),
    stop: async () => {
      clearInterval(timer);
      await Promise.all(pending);
      return failures;
    },
  };
};

const answered = async (text: string) => {
  const { turnId } = await phone.say(text);
  await phone.until('the answer', (frame) => {
    const event = frame['event'] as { type?: string; data?: { turnId?: string } } | undefined;
    return event?.type === 'message.completed' && event.data?.turnId === turnId;
  });
};

describe('the mesh on Consul and NATS', () => {
  it('has every service in the catalogue with two passing instances', async () => {
    for (const service of services) {
      await expect.poll(() => passing(service), { timeout: giveUpMs, message: service }).toBe(2);
    }
  });

  it('answers a message, and shows it as one trace from the socket to the last consumer', async () => {
    await answered('What is in my notes?');
    const whole = () => {
      const byTrace = Map.groupBy(on.mesh.traces?.spans() ?? [], (span) => span.traceId);
      return [...byTrace.values()].find((spans) => {
        const has = (service: string, name: RegExp) =>
          spans.some((span) => span.service === `skein-${service}` && name.test(span.name));
        return (
          has('gateway', /frame message/) &&
          has('session-sync', /AppendMessage/) &&
          has('agent', /consume message\.created/) &&
          has('session-sync', /EndTurn/)
        );
      });
    };
    await expect.poll(() => whole()?.length ?? 0, { timeout: giveUpMs }).toBeGreaterThan(5);
    expect(traceTree(whole() ?? [])).toContain('skein-agent');
  }, 90_000);

  it('describes every service to grpcurl and answers health checks', async () => {
    const grpcurl = await componentPath('grpcurl');
    const inner = services.filter((service) => service !== 'gateway');
    const addresses = await Promise.all(
      inner.map(async (service) => [service, await addressOf(service)] as const),
    );
    const names: Record<string, string> = {
      auth: 'auth',
      user: 'user',
      'session-sync': 'sync',
      agent: 'agent',
    };
    for (const [service, address] of addresses) {
      const listed = (await run(grpcurl, ['-plaintext', address, 'list'])).stdout;
      expect(listed).toContain(`skein.${names[service]}.v1.`);
      expect(listed).toContain('grpc.health.v1.Health');
      expect((await run(grpcurl, ['-plaintext', address, 'describe'])).stdout).toContain(
        `skein.${names[service]}.v1.`,
      );
      const health = (await run(grpcurl, ['-plaintext', address, 'grpc.health.v1.Health/Check'])).stdout;
      expect(JSON.parse(health)).toEqual({ status: 'SERVING' });
    }
  });

  it('fails no call after the first second when one instance is killed under 200 calls a second', async () => {
    const load = underLoad(200);
    await load.reaches(100);
    const killedAt = performance.now();
    on.mesh.processes.get('user.1')?.kill('SIGKILL');
    await on.mesh.processes.get('user.1')?.ready();
    await load.reaches(load.calls + 600);
    expect(performance.now() - killedAt).toBeGreaterThan(2_000);
    const failures = await load.stop();
    expect(failures.filter(({ atMs }) => atMs > killedAt + 1_000)).toEqual([]);
  }, 120_000);

  it('fails no call at all when an instance is drained', async () => {
    const load = underLoad(200);
    await load.reaches(100);
    const user = on.mesh.processes.get('user.2');
    const startsBefore = user?.starts ?? 0;
    user?.kill('SIGTERM');
    await expect.poll(() => user?.starts, { timeout: giveUpMs }).toBeGreaterThan(startsBefore);
    await user?.ready();
    await load.reaches(load.calls + 200);
    expect(await load.stop()).toEqual([]);
  }, 120_000);

  it('goes on while Consul is away, and finds it again', async () => {
    await on.mesh.drills.pause('consul');
    const load = underLoad(50);
    const startedAt = performance.now();
    await answered('Are you there without Consul?');
    await expect
      .poll(() => performance.now() - startedAt, { timeout: 90_000, interval: 1_000 })
      .toBeGreaterThan(60_000);
    expect(await load.stop()).toEqual([]);
    await on.mesh.drills.resume('consul');
    // It came back empty: the instances put themselves into it again.
    for (const service of services) {
      await expect.poll(() => passing(service), { timeout: giveUpMs, message: service }).toBe(2);
    }
  }, 180_000);

  it('delivers every event, with its effect once, although NATS lost its store', async () => {
    const nats = on.mesh.nats?.();
    await on.mesh.drills.pause('nats');
    await rm(nats?.storeDir ?? '', { recursive: true, force: true });
    const whileAway = await Promise.all(Array.from({ length: 5 }, () => newPerson(on.url)));
    await answered('Are you there without NATS?');
    await on.mesh.drills.resume('nats');
    const after = await newPerson(on.url);
    const user = await userClient();
    const welcomes = async (one: Person) => {
      const actor = { userId: one.id, scopes: [] };
      const { items } = await user.listNotices(
        { limit: 0, cursor: '' },
        rootContext({ timeoutMs: 10_000, actor }),
      );
      return items.filter((notice) => notice.kind === 'welcome').length;
    };
    for (const one of [...whileAway, after, person]) {
      await expect.poll(() => welcomes(one), { timeout: giveUpMs }).toBe(1);
    }
    await answered('And now?');
    for (const one of [...whileAway, after, person]) expect(await welcomes(one)).toBe(1);
  }, 180_000);
});
