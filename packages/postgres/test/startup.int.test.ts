import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type EmbeddedPostgres, embeddedPostgres, openDatabase } from '../src/index.ts';
import { silentLog } from './silent-log.ts';
import { temporaryDirectory } from './temporary-directory.ts';

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
beforeAll(async () => {
  directory = await temporaryDirectory();
});
const servers: EmbeddedPostgres[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});
afterAll(() => directory.remove());

/** A server of one test; ended after it. */
const serverIn = (name: string, settings = {}): EmbeddedPostgres => {
  const server = embeddedPostgres({ dataDir: join(directory.path, name), settings });
  servers.push(server);
  return server;
};

const open = (url: string, waitMs: number, more: { allowDataLoss?: boolean } = {}, lines: string[] = []) =>
  openDatabase(
    { url, schema: 'start', migrations: [], applicationName: 'test', waitMs, ...more },
    { log: silentLog(lines) },
  );

describe('a server that is away', () => {
  it('is waited for, and then given up with a sentence that names the place and the way out', async () => {
    const lines: string[] = [];
    const db = open('postgres://somebody:hidden@127.0.0.1:1/none', 200, {}, lines);
    const error = await db.run().catch((e: unknown) => e);
    expect(error).toMatchObject({
      code: 'unavailable',
      detail:
        'PostgreSQL at 127.0.0.1:1 did not answer within 0.2 s (connect ECONNREFUSED 127.0.0.1:1): start it, or set DATABASE_URL to where it runs',
    });
    expect(lines.filter((line) => line.includes('waiting for the database'))).toHaveLength(1);
    expect(lines.join()).not.toContain('hidden');
    await db.stop();
  });

  it('is not waited for any longer when the process stops', async () => {
    const db = open('postgres://somebody@127.0.0.1:1/none', 60_000);
    const running = db.run();
    await db.stop();
    await expect(running).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('is used as soon as it is there', async () => {
    const server = serverIn('late');
    const db = open(server.url, 30_000);
    const ready = db.run();
    await server.run();
    await ready;
    expect(await db.query('select 1 as one')).toEqual([{ one: 1 }]);
    await db.stop();
  });
});

it('is refused at once when waiting cannot help, and a missing database after the wait', async () => {
  const server = serverIn('hopeless');
  await server.run();
  await expect(open(server.url.replace('//skein@', '//other@'), 60_000).run()).rejects.toThrow(
    'refused the user',
  );
  await expect(open(server.url.replace('/skein?', '/other?'), 100).run()).rejects.toThrow(
    'has no such database: create it, or check the name in DATABASE_URL',
  );
});

it('refuses a server that acknowledges before it is safe on disk, unless that is allowed', async () => {
  const server = serverIn('unsafe', { fsync: 'off' });
  await server.run();
  await expect(open(server.url, 1_000).run()).rejects.toThrow('runs with fsync off');
  const db = open(server.url, 1_000, { allowDataLoss: true });
  await db.run();
  await db.stop();
});

it('says so when it is used before it runs', async () => {
  await expect(open('postgres://nobody@localhost/none', 0).query('select 1')).rejects.toThrow('before run');
});
