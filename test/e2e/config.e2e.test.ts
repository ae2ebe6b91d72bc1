import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type ConsulAgent, startConsul } from '@skein/components';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Device, openDevice } from './support/device.ts';
import { newPerson, type Person, type TestMesh, testMesh } from './support/mesh.ts';

const skein = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url));
const operatorEmail = 'operator@example.test';
const services = ['agent', 'auth', 'gateway', 'session-sync', 'user'];
const patience = { timeout: 20_000 };

let dataDir: string;
let consul: ConsulAgent;
let on: TestMesh;
let operatorToken: string;
let person: Person;
let phone: Device;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'skein-e2e-consul-'));
  consul = await startConsul({ dataDir });
  on = await testMesh({
    env: {
      CONFIG_URL: `consul://127.0.0.1:${consul.ports.http}`,
      SKEIN_OPERATOR_EMAIL: operatorEmail,
      AUTH_ARGON2_MEMORY_KIB: '1024',
      // Here the config centre says it.
      LOG_LEVEL: '',
    },
  });
  const response = await fetch(`${on.url}/v1/auth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: operatorEmail, password: crypto.randomUUID() }),
  });
  operatorToken = ((await response.json()) as { readonly accessToken: string }).accessToken;
  person = await newPerson(on.url);
  phone = await openDevice(on.url, 'phone', () => person.accessToken);
}, 180_000);

afterAll(async () => {
  phone?.close();
  await on?.[Symbol.asyncDispose]();
  await consul?.stop();
  await rm(dataDir, { recursive: true, force: true });
}, 60_000);

/** Runs the command as an operator does; resolves with what it printed, also when it did not end well. */
const run = async (...args: string[]): Promise<string> => {
  const env = {
    PATH: process.env['PATH'],
    CONFIG_URL: `consul://127.0.0.1:${consul.ports.http}`,
    SKEIN_URL: on.url,
    SKEIN_TOKEN: operatorToken,
  };
  const ended = await promisify(execFile)(process.execPath, [skein, 'config', ...args], { env }).catch(
    (error: unknown) => error as { readonly stdout: string; readonly stderr: string },
  );
  return ended.stdout + ended.stderr;
};

/** Those whose log says that a setting has a new value. */
const changed = (setting: string, to: string): string[] =>
  services.filter((service) =>
    on.lines.some(
      (line) =>
        line.startsWith(`${service} `) &&
        line.includes(`"setting":"${setting}"`) &&
        line.includes(`"to":"${to}"`),
    ),
  );

const client = async (): Promise<{ readonly limits: Readonly<Record<string, number>> }> =>
  (await (await fetch(`${on.url}/v1/config/client`)).json()) as {
    readonly limits: Readonly<Record<string, number>>;
  };

let seq = 0;
/** What becomes of a new document. */
const outcome = async (collection: string): Promise<unknown> => {
  seq += 1;
  const { results } = (await phone.request({
    type: 'mutate',
    space: 'personal',
    mutations: [
      {
        ...{ seq, collection, id: `d${seq}`, baseVersion: 0, ops: [{ op: 'set', path: ['n'], value: seq }] },
        hlc: `${Date.now().toString(16).padStart(12, '0')}-0000-phone`,
      },
    ],
  })) as unknown as { readonly results: readonly { readonly outcome: string; readonly code?: string }[] };
  const [result] = results;
  return result?.code ?? result?.outcome;
};

describe('settings of a running mesh, in Consul', () => {
  it('reach every service that is concerned, without a restart', async () => {
    const pids = [...on.mesh.processes.values()].map(({ pid }) => pid);
    expect(await run('set', 'all', 'LOG_LEVEL=debug')).toContain('+ all LOG_LEVEL debug');
    await expect.poll(() => changed('LOG_LEVEL', 'debug'), patience).toEqual(services);
    await run('set', 'gateway', 'MESSAGES_PER_SECOND=7', 'MESSAGES_BURST=9');
    await expect
      .poll(async () => (await client()).limits, patience)
      .toMatchObject({
        messagesPerSecond: 7,
        messagesBurst: 9,
      });
    expect([...on.mesh.processes.values()].map(({ pid }) => pid)).toEqual(pids);
  }, 60_000);

  it('limit people at once', async () => {
    await run('set', 'gateway', 'MESSAGES_PER_SECOND=1', 'MESSAGES_BURST=1');
    await expect.poll(async () => (await client()).limits, patience).toMatchObject({ messagesBurst: 1 });
    const one = async () => {
      const response = await fetch(`${on.url}/v1/spaces/personal/messages`, {
        method: 'POST',
        headers: { authorization: `Bearer ${person.accessToken}`, 'content-type': 'application/json' },
        body: JSON.stringify({ clientMessageId: crypto.randomUUID(), text: 'hello', reply: false }),
      });
      return response.status;
    };
    expect(await Promise.all([one(), one(), one()])).toContain(429);
    await run('unset', 'gateway', 'MESSAGES_PER_SECOND', 'MESSAGES_BURST');
    await expect.poll(async () => (await client()).limits, patience).toMatchObject({ messagesBurst: 40 });
    await expect.poll(async () => Promise.all([one(), one(), one()]), patience).toEqual([202, 202, 202]);
  }, 60_000);

  it('change the rules of a collection below a connected device', async () => {
    expect(await outcome('plan')).toBe('applied');
    const rules = (direction: string) =>
      `COLLECTION_POLICIES={plan: {strategy: server_wins, deletes: edit_wins, direction: ${direction}}}`;
    await run('set', 'session-sync', rules('pull'));
    await expect.poll(() => outcome('plan'), patience).toBe('read_only');
    await run('set', 'session-sync', rules('both'));
    await expect.poll(() => outcome('plan'), patience).toBe('applied');
    expect(phone.frames.filter(({ type }) => type === 'unsubscribed')).toEqual([]);
  }, 60_000);

  it('are told with their source, and no secret with them', async () => {
    const said = await run('summary');
    for (const service of services) expect(said).toContain(service);
    expect(said).toContain('LOG_LEVEL debug  [all, live]');
    expect(said).toContain('INTERNAL_SECRET hidden  [environment]');
    expect(said).toContain('DATABASE_URL hidden  [environment]');
    const secrets = [on.mesh.secrets.internalSecret, on.mesh.secrets.authMasterKey];
    for (const secret of secrets) expect(said).not.toContain(secret);
    expect(await run('set', 'auth', `AUTH_MASTER_KEY=${on.mesh.secrets.authMasterKey}`)).toContain(
      'AUTH_MASTER_KEY is read when the process starts',
    );
    for (const secret of secrets) expect(on.lines.join('\n')).not.toContain(secret);
  }, 60_000);

  it('stay when Consul is away, and when somebody writes nonsense by hand', async () => {
    await run('set', 'gateway', 'MESSAGES_PER_SECOND=33');
    await expect.poll(async () => (await client()).limits, patience).toMatchObject({ messagesPerSecond: 33 });
    await consul.kill();
    expect(await run('get')).toContain('ECONNREFUSED');
    await phone.say('while Consul is away');
    expect((await client()).limits).toMatchObject({ messagesPerSecond: 33 });
    consul = await startConsul({ dataDir, ports: consul.ports });
    const put = await fetch(`${consul.httpAddress}/v1/kv/skein/config/gateway`, {
      method: 'PUT',
      body: '{ MESSAGES_PER_SECOND: -1, MESSAGES_BURST: 66 }',
    });
    expect(put.status).toBe(200);
    await expect
      .poll(async () => (await client()).limits, patience)
      .toMatchObject({ messagesPerSecond: 33, messagesBurst: 66 });
    const refused = 'gateway: MESSAGES_PER_SECOND must be a whole number from 1 to 100000, not "-1"';
    expect(await run('summary', 'gateway')).toContain(`not valid, and so not in use: ${refused}`);
    expect(on.lines.join('\n')).toContain('the config centre has settings that are not valid');
    await run('set', 'gateway', 'MESSAGES_PER_SECOND=34');
    await expect.poll(async () => (await client()).limits, patience).toMatchObject({ messagesPerSecond: 34 });
    expect(await run('summary', 'gateway')).not.toContain('not valid');
  }, 90_000);
});
