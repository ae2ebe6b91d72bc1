import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type Database, type DatabaseOptions, openDatabase } from '../src/index.ts';
import { type TestDatabase, testDatabase } from '../src/testing.ts';
import { silentLog } from './silent-log.ts';

let place: TestDatabase;
beforeAll(async () => {
  place = await testDatabase();
});
afterAll(() => place.drop());

const nowhere = 'postgres://nobody@127.0.0.1:1/none';

const open = (options: Partial<DatabaseOptions>): Database => {
  const db = openDatabase(
    {
      url: place.url,
      schema: 'pooled',
      migrations: [{ version: 1, name: 'notes', sql: 'create table notes (id int)' }],
      applicationName: 'behind a pooler',
      poolSize: 1,
      waitMs: 0,
      ...options,
    },
    { log: silentLog() },
  );
  onTestFinished(() => db.stop());
  return db;
};

/** The test's database by another URL, as if a pooler were in between. */
const throughPooler = (options?: string): string => {
  const url = new URL(place.url);
  url.searchParams.set('target_session_attrs', 'any');
  if (options) url.searchParams.set('options', options);
  return String(url);
};

/** A server that refuses every start-up packet with this message, as PgBouncer does. */
const refusingPooler = async (message: string): Promise<string> => {
  const fields = Buffer.from(`SFATAL\0C08P01\0M${message}\0\0`);
  const head = Buffer.from([0x45, 0, 0, 0, fields.length + 4]);
  const server = createServer((socket) =>
    socket.on('error', () => {}).once('data', () => socket.end(Buffer.concat([head, fields]))),
  ).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return `postgres://nobody@127.0.0.1:${(server.address() as AddressInfo).port}/none?sslmode=disable`;
};

describe('a database behind a pooler', () => {
  it('has its migrations past it, and everything else through it', async () => {
    const db = open({ url: throughPooler(), directUrl: place.url });
    await db.run();
    expect(await db.query('select * from notes')).toEqual([]);
  });

  it('gives statements no names, which would be those of a session of the pooler', async () => {
    const db = open({ url: throughPooler(), directUrl: place.url });
    await db.run();
    await db.query({ name: 'notes', text: 'select id from notes where id = $1' }, [1]);
    await db.transaction((tx) => tx.query({ name: 'all-notes', text: 'select id from notes' }));
    expect(await db.query('select name from pg_prepared_statements')).toEqual([]);
  });

  it('cuts the connection of a cancelled statement, and the server ends it', async () => {
    const db = open({ url: throughPooler(), directUrl: place.url });
    await db.run();
    const caller = new AbortController();
    const endless = db.query('select pg_sleep(60)', [], { signal: caller.signal }).catch((e: unknown) => e);
    const direct = open({ applicationName: 'observer' });
    await direct.run();
    const sleepers = () =>
      direct.query(
        `select 1 from pg_stat_activity where application_name = 'behind a pooler' and wait_event = 'PgSleep'`,
      );
    await expect.poll(sleepers).toHaveLength(1);
    caller.abort();
    expect(await endless).toMatchObject({ code: 'cancelled' });
    expect(await db.query('select 1 as one')).toEqual([{ one: 1 }]);
    await expect.poll(sleepers).toEqual([]);
  });

  it('is refused when the pooler keeps our search path to itself', async () => {
    const db = open({ url: throughPooler('-c search_path=public'), directUrl: place.url });
    const sentence = /^The pooler at \S+ does not pass on the search path \(it is public, not pooled\): give/;
    await expect(db.check?.(0)).rejects.toMatchObject({ detail: expect.stringMatching(sentence) });
    await expect(db.run()).rejects.toMatchObject({ detail: expect.stringMatching(sentence) });
  });

  it('is refused at once when the pooler refuses our settings', async () => {
    const url = await refusingPooler('unsupported startup parameter: options');
    const db = open({ url, directUrl: place.url, waitMs: 60_000 });
    await expect(db.run()).rejects.toThrow('set its ignore_startup_parameters to options');
  });

  it('is told apart from the server behind it when one of the two is away', async () => {
    await expect(open({ url: nowhere, directUrl: place.url }).run()).rejects.toThrow(
      'or set DATABASE_URL to where',
    );
    await expect(open({ url: throughPooler(), directUrl: nowhere }).run()).rejects.toThrow(
      'or set DATABASE_DIRECT_URL to where',
    );
  });
});
