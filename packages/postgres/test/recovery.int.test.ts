import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { type EmbeddedPostgres, embeddedPostgres, isCommitUnknown, openDatabase } from '../src/index.ts';
import { silentLog } from './silent-log.ts';
import { temporaryDirectory } from './temporary-directory.ts';

const log = silentLog();
const migrations = [{ version: 1, name: 'facts', sql: 'create table facts (id int primary key)' }];

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let server: EmbeddedPostgres;
beforeAll(async () => {
  directory = await temporaryDirectory();
  server = embeddedPostgres({ dataDir: join(directory.path, 'data') });
  await server.run();
});
afterAll(async () => {
  await server.stop();
  await directory.remove();
});

const open = async (url: string, schema: string) => {
  const db = openDatabase({ url, schema, migrations, applicationName: 'test', poolSize: 2 }, { log });
  await db.run();
  return db;
};

it('answers unavailable while the server is dead, and works by itself when it is back', async () => {
  const db = await open(server.url, 'recovery');
  await db.query('insert into facts values (1)');
  const sleeping = db.query('select pg_sleep(60)');
  const inTransaction = db.transaction(async (tx) => {
    await tx.query('insert into facts values (2)');
    await tx.query('select pg_sleep(60)');
  });
  const outcomes = Promise.allSettled([sleeping, inTransaction]);
  const ended = new Promise((resolve) => server.onExit(resolve));
  await expect.poll(() => serverBusy(server.url)).toBe(2);
  process.kill(server.pid ?? 0, 'SIGKILL');
  expect(await ended).toEqual({ expected: false });
  for (const outcome of await outcomes)
    expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'unavailable' } });
  await expect(db.query('select 1')).rejects.toMatchObject({ code: 'unavailable' });

  await server.run();
  expect(await db.query('select id from facts')).toEqual([{ id: 1 }]);
  // Every connection of the pool is a new one.
  await Promise.all([1, 2, 3, 4].map(() => db.query('select 1')));
  await db.stop();
});

it('answers unavailable when the connection is lost between two statements of a transaction', async () => {
  const db = await open(server.url, 'between');
  const cut = db.transaction(async (tx) => {
    const [session] = await tx.query<{ pid: number }>('select pg_backend_pid() as pid');
    await db.query('select pg_terminate_backend($1, 5000)', [session?.pid]);
    await tx.query('insert into facts values (1)');
  });
  await expect(cut).rejects.toMatchObject({ code: 'unavailable' });
  expect(await db.query('select id from facts')).toEqual([]);
  await db.stop();
});

/** How many sessions sleep in this server. */
const serverBusy = async (url: string): Promise<number> => {
  const db = await open(url, 'observer');
  const rows = await db.query(`select 1 from pg_stat_activity where wait_event = 'PgSleep'`);
  await db.stop();
  return rows.length;
};

/** A way to the server that loses the connection as soon as COMMIT has been passed on. */
const cutAfterCommit = (url: string): Server => {
  const socketDir = new URL(url).searchParams.get('host');
  return createServer((client) => {
    const upstream = connect(`${socketDir}/.s.PGSQL.5432`);
    upstream.on('error', () => client.destroy());
    client.on('error', () => upstream.destroy());
    upstream.pipe(client);
    client.on('data', (data) => {
      if (data.includes('commit\0')) {
        upstream.unpipe(client);
        upstream.end(data);
        client.destroy();
      } else upstream.write(data);
    });
    client.on('end', () => upstream.end());
  });
};

it('tells apart a commit whose outcome nobody knows', async () => {
  const direct = await open(server.url, 'unknown');
  const proxyDir = join(directory.path, '.s.PGSQL.5432');
  const proxy = cutAfterCommit(server.url).listen(proxyDir);
  await once(proxy, 'listening');
  const throughProxy = new URL(server.url);
  throughProxy.searchParams.set('host', directory.path);
  const db = openDatabase(
    {
      ...{ url: String(throughProxy), directUrl: server.url, schema: 'unknown', migrations },
      applicationName: 'test',
    },
    { log },
  );
  // The proxy's peer is this process, so the kernel's proof of the user holds for it too.
  await db.run();
  const error = await db
    .transaction((tx) => tx.query('insert into facts values (7)'))
    .catch((e: unknown) => e);
  expect(error).toMatchObject({ code: 'unavailable' });
  expect(isCommitUnknown(error)).toBe(true);
  await vi.waitFor(async () => expect(await direct.query('select id from facts')).toEqual([{ id: 7 }]), {
    timeout: 10_000,
  });
  await db.stop();
  await direct.stop();
  proxy.close();
});

it('cuts what still runs when it stops, after a while', async () => {
  const db = await open(server.url, 'stopping');
  const endless = db.query('select pg_sleep(60)').catch((e: unknown) => e);
  await expect.poll(() => serverBusy(server.url)).toBe(1);
  await db.stop();
  expect(await endless).toMatchObject({ code: 'unavailable' });
});
