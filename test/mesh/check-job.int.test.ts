import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { startConsul, startNats } from '@skein/components';
import { type Database, openDatabase } from '@skein/postgres';
import { type TestDatabase, testDatabase } from '@skein/postgres/testing';
import { createLogger } from '@skein/telemetry';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { loneService } from '../e2e/support/lone-service.ts';
import { type CheckJob, checkJob } from './support/check-job.ts';
import { services } from './support/code-edges.ts';

const names = Object.keys(services).sort();
const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });

/** What Kubernetes fills in, beside the database. */
const filled = {
  INSTANCE_ID: 'skein-check-1',
  DISCOVERY_ADDRESS: '10.0.0.7',
  HOST_IP: '10.0.0.1',
  INTERNAL_SECRET: 'i'.repeat(32),
  AUTH_MASTER_KEY: 'm'.repeat(32),
};

/** A TCP server on the loopback address that answers whatever comes with `says`. */
const listener = async (says: string): Promise<{ server: Server; port: number }> => {
  const server = createServer((socket) => socket.on('error', () => {}).once('data', () => socket.end(says)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return { server, port: (server.address() as AddressInfo).port };
};

/** A port where nobody listens any more. */
const closedPort = async (): Promise<number> => {
  const { server, port } = await listener('');
  server.close();
  await once(server, 'close');
  return port;
};

let job: CheckJob;
let place: TestDatabase;
beforeAll(async () => {
  job = await checkJob('default', '--set', 'check.seconds=1');
  place = await testDatabase();
});
afterAll(() => place?.drop());

describe('the check before an install, upgrade or rollback', () => {
  it('is a hook of all three, with a container of every service, and Helm prints what it says when it fails', () => {
    expect(job.job.metadata.annotations).toMatchObject({
      'helm.sh/hook': 'pre-install,pre-upgrade,pre-rollback',
      'helm.sh/hook-output-log-policy': 'hook-failed',
    });
    expect(job.containers.map(({ name, image }) => [name, image])).toEqual(
      names.map((name) => [name, `skein/${name}:0.1.0`]),
    );
  });

  it('passes when Postgres, NATS and Consul are there, and makes nothing', { timeout: 60_000 }, async () => {
    await using nats = await startNats();
    await using consul = await startConsul();
    const consulHost = new URL(consul.httpAddress).host;
    const there = { EVENTS_URL: nats.url, DISCOVERY_URL: `consul://${consulHost}` };
    for (const name of names) {
      const { code, said } = await job.run(name, { ...filled, DATABASE_URL: place.url }, there);
      expect(said).toContain(`${name}: Consul at ${consulHost} is reached`);
      if (name !== 'gateway') {
        const schema = name.replaceAll('-', '_');
        const made = new RegExp(
          `^${name}: PostgreSQL at \\S+ is reached: schema ${schema} will be made, at version \\d+$`,
        );
        expect(said).toContainEqual(expect.stringMatching(made));
        expect(said).toContainEqual(
          expect.stringMatching(new RegExp(`^${name}: NATS at \\S+ is reached \\(.*with JetStream\\)$`)),
        );
      }
      expect(code).toBe(0);
    }
    const response = await fetch(`${consul.httpAddress}/v1/catalog/services`);
    expect(Object.keys((await response.json()) as object)).toEqual(['consul']);
  });

  it('names everything that is not reached, why, and what to look at; never a password', async () => {
    const port = await closedPort();
    const { code, said } = await job.run(
      'auth',
      { ...filled, DATABASE_URL: `postgres://somebody:secret-password@127.0.0.1:${port}/skein` },
      { EVENTS_URL: `nats://127.0.0.1:${port}`, DISCOVERY_URL: `consul://127.0.0.1:${port}` },
    );
    expect(code).toBe(69);
    const output = said.join('\n');
    for (const sentence of [
      `auth: PostgreSQL at 127.0.0.1:${port} did not answer within 1 s (connect ECONNREFUSED 127.0.0.1:${port}): start it, or set DATABASE_URL`,
      `auth: NATS at 127.0.0.1:${port} is NOT reached (`,
      `auth: Consul at 127.0.0.1:${port} is NOT reached (connect ECONNREFUSED`,
      'DATABASE_URL is the key database-url of the Secret skein.',
      'Values to look at: events, discovery, configCentre, networkPolicy.database, networkPolicy.events, networkPolicy.discovery.',
    ])
      expect(output).toContain(sentence);
    expect(output).not.toContain('secret-password');
  });

  it('is not content with something else that listens there', async () => {
    const { port } = await listener('HTTP/1.1 400 Bad Request\r\n\r\n');
    const { code, said } = await job.run(
      'user',
      { ...filled, DATABASE_URL: `postgres://somebody@127.0.0.1:${port}/skein` },
      { EVENTS_URL: `nats://127.0.0.1:${port}`, DISCOVERY_URL: `consul://127.0.0.1:${port}` },
    );
    expect(code).toBe(69);
    for (const name of ['PostgreSQL', 'NATS', 'Consul'])
      expect(said).toContainEqual(expect.stringMatching(new RegExp(`^user: ${name} at 127.0.0.1:${port} `)));
    expect(said.join('\n')).not.toContain('is reached');
  });

  it('names the Secret and the key that are missing', async () => {
    const { code, said } = await job.run('auth', { ...filled, INTERNAL_SECRET: '', AUTH_MASTER_KEY: '' });
    expect(code).toBe(78);
    const output = said.join('\n');
    expect(output).toContain('auth: The configuration has 3 fault(s):');
    expect(output).toContain('DATABASE_URL is required');
    expect(output).toContain('INTERNAL_SECRET is the key internal-secret of the Secret skein.');
    expect(output).toContain('AUTH_MASTER_KEY is the key master-key of the Secret skein.');
  });

  it('finds a setting that the service would refuse', async () => {
    const wrong = await checkJob(
      'default',
      '--set',
      'services.agent.config.AGENT_MODEL_URL=http://models/v1',
    );
    const { code, said } = await wrong.run('agent', { ...filled, DATABASE_URL: place.url });
    expect(code).toBe(78);
    expect(said.join('\n')).toContain('agent:   AGENT_MODEL is required with AGENT_MODEL_URL');
  });
});

describe('a schema that newer code has made', () => {
  const alone = {
    EVENTS_URL: 'postgres:',
    DISCOVERY_URL: 'static:auth=127.0.0.1:1,session-sync=127.0.0.1:1,agent=127.0.0.1:1',
  };
  const serviceEnv = () => ({ ...filled, ...alone, DATABASE_URL: place.url, LOG_LEVEL: 'info' });
  const check = () => job.run('user', { ...filled, DATABASE_URL: place.url }, alone);
  let schema: Database;
  let version = 0;

  beforeAll(async () => {
    await using user = loneService('user', serviceEnv());
    await user.logged('"ready"');
    schema = openDatabase(
      { url: place.url, schema: 'observer', migrations: [], applicationName: 'test' },
      { log },
    );
    await schema.run();
    const [newest] = await schema.query<{ version: number }>(
      'select max(version) as version from "user".schema_migrations',
    );
    version = newest?.version ?? 0;
  }, 60_000);
  afterAll(() => schema?.stop());

  const newerCodeRan = (step: number) =>
    schema.query(`insert into "user".schema_migrations (version, name, checksum) values ($1, 'newer', '')`, [
      step,
    ]);

  it('serves the code of one release before: its check passes, and it starts', async () => {
    await newerCodeRan(version + 1);
    const { code, said } = await check();
    expect(said).toContainEqual(
      expect.stringContaining(
        `schema user is at version ${version + 1} and serves this program, of version ${version}`,
      ),
    );
    expect(code).toBe(0);
    await using user = loneService('user', serviceEnv());
    await user.logged('"ready"');
  });

  it('refuses older code with a sentence, before a rollback and at a start', async () => {
    await newerCodeRan(version + 2);
    const sentence = `Schema user is at version ${version + 2}, which serves programs from version ${version + 1} on; this one is of version ${version}: start a newer program (a rollback goes back one release at most)`;
    const { code, said } = await check();
    expect(said).toContain(`user: ${sentence}`);
    expect(code).toBe(69);
    await using user = loneService('user', serviceEnv());
    expect(await user.exit).toBe(69);
    expect(user.log).toContain(sentence);
  });
});
