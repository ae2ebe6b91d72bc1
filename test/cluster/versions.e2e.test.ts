import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { type Database, openDatabase } from '@skein/postgres';
import { createLogger } from '@skein/telemetry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, ask, getJson, kubectl } from './support/program.ts';
import { installChart, plain } from './support/stack.ts';
import { useStack } from './support/use-stack.ts';

useStack(plain);

const { release, namespace, platform } = plain;
const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });

/** A way to the database of the stack that works from wherever kubectl does. */
const wayToPostgres = async (): Promise<{ port: number; close: () => void }> => {
  const child = spawn('kubectl', ['-n', platform, 'port-forward', 'service/postgres', ':5432'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return { port: Number(/127\.0\.0\.1:(\d+)/.exec(line)?.[1]), close: () => child.kill() };
};

/** Revision → status, as `helm history` has them. */
const history = async (): Promise<ReadonlyMap<number, string>> => {
  const { stdout } = await ask('helm', ['history', release, '-n', namespace, '-o', 'json']);
  const revisions: readonly { revision: number; status: string }[] = JSON.parse(stdout);
  return new Map(revisions.map(({ revision, status }) => [revision, status]));
};
const running = async (): Promise<number> =>
  Math.max(
    ...[...(await history())].filter(([, status]) => status === 'deployed').map(([revision]) => revision),
  );

const rollback = (revision: number) =>
  ask('helm', ['rollback', release, String(revision), '-n', namespace, '--wait', '--timeout=300s'], {
    timeoutMs: 330_000,
  });

/** What of a deployment changes when its pods are replaced. */
const templateOf = async (service: string): Promise<unknown> =>
  (await getJson<{ spec: { template: unknown } }>('deployment', `${release}-${service}`, '-n', namespace))
    .spec.template;

describe('a rollback', () => {
  let forward: { port: number; close: () => void } | undefined;
  let database: Database | undefined;
  let version = 0;
  let before = 0;

  const db = (): Database => {
    if (!database) throw new Error('there is no way to the database');
    return database;
  };
  /** As if no newer release had started. */
  const newerCodeNeverRan = () =>
    db().query(`delete from "user".schema_migrations where name = 'of a newer release'`);
  /** As if a newer release had started and added a step. */
  const newerCodeRan = (step: number) =>
    db().query(
      `insert into "user".schema_migrations (version, name, checksum) values ($1, 'of a newer release', '')`,
      [step],
    );

  beforeAll(async () => {
    before = await running();
    await installChart(plain, '--set', 'services.user.podAnnotations.example\\.org/try=next');
    forward = await wayToPostgres();
    const encoded = await kubectl(
      '-n',
      namespace,
      'get',
      'secret',
      'skein',
      '-o=jsonpath={.data.database-url}',
    );
    const url = new URL(Buffer.from(encoded, 'base64').toString('utf8'));
    url.host = `127.0.0.1:${forward.port}`;
    database = openDatabase(
      { url: String(url), schema: 'observer', migrations: [], applicationName: 'test' },
      { log },
    );
    await database.run();
    const [newest] = await database.query<{ version: number }>(
      'select max(version) as version from "user".schema_migrations',
    );
    version = newest?.version ?? 0;
  }, 400_000);

  afterAll(async () => {
    if (database) await newerCodeNeverRan();
    await database?.query('drop schema observer cascade');
    await database?.stop();
    forward?.close();
  });

  it('by one version goes through, although the schema is one step ahead', { timeout: 360_000 }, async () => {
    await newerCodeRan(version + 1);
    const { ok, stdout, stderr } = await rollback(before);
    expect(ok, stdout + stderr).toBe(true);
    expect(JSON.stringify(await templateOf('user'))).not.toContain('example.org/try');
  });

  it('to an older version is refused with a sentence, and no pod is touched', {
    timeout: 720_000,
  }, async () => {
    await newerCodeRan(version + 2);
    const [runs, template] = [await running(), await templateOf('user')];
    let again: Answer;
    try {
      const { ok, stdout, stderr } = await rollback(before);
      expect(ok).toBe(false);
      expect(stdout + stderr).toContain(
        `Schema user is at version ${version + 2}, which serves programs from version ${version + 1} on; this one is of version ${version}: start a newer program`,
      );
      expect(await templateOf('user')).toEqual(template);
      expect([...(await history()).values()].at(-1)).toBe('pending-rollback');
    } finally {
      // As the how-to says: this ends what Helm waits for. Whatever failed, the next file finds a release that runs.
      await newerCodeNeverRan();
      again = await rollback(runs);
    }
    expect(again.ok, again.stdout + again.stderr).toBe(true);
    expect([...(await history()).values()].at(-1)).toBe('deployed');
    expect(await templateOf('user')).toEqual(template);
  });
});
