import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import {
  type Database,
  idempotencyTableSql,
  idempotent,
  openDatabase,
  pruneIdempotencyKeys,
} from '../src/index.ts';
import { type TestDatabase, testDatabase } from '../src/testing.ts';
import { silentLog } from './silent-log.ts';

const migrations = [
  { version: 1, name: 'idempotency', sql: `${idempotencyTableSql} create table effects (id int)` },
];
const request = { scope: 'user-1', method: 'POST /v1/things', key: 'k1', bodyHash: 'hash-1' };

let place: TestDatabase;
let db: Database;
beforeAll(async () => {
  place = await testDatabase();
  db = openDatabase(
    { url: place.url, schema: 'once', migrations, applicationName: 'test' },
    { log: silentLog() },
  );
  await db.run();
});
beforeEach(() => db.query('truncate idempotency_keys, effects'));
afterAll(async () => {
  await db.stop();
  await place.drop();
});

const effects = () => db.query('select id from effects order by id');

/** A request with one effect, as a use case makes it. */
const perform = (id: number, changed: Partial<typeof request> = {}) =>
  db.transaction((tx) =>
    idempotent(tx, { ...request, ...changed }, async () => {
      await tx.query('insert into effects values ($1)', [id]);
      return { id, text: 'é "quoted"' };
    }),
  );

it('gives the stored result to the same request, with one effect', async () => {
  const first = await perform(1);
  expect(await perform(2)).toEqual(first);
  expect(await effects()).toEqual([{ id: 1 }]);
});

it('keeps a result of nothing', async () => {
  const nothing = () => db.transaction((tx) => idempotent(tx, request, async () => undefined));
  expect(await nothing()).toBeUndefined();
  expect(await nothing()).toBeUndefined();
});

it('refuses another body under the same key', async () => {
  await perform(1);
  await expect(perform(2, { bodyHash: 'hash-2' })).rejects.toMatchObject({ code: 'idempotency_mismatch' });
  expect(await effects()).toEqual([{ id: 1 }]);
});

it.each([{ scope: 'user-2' }, { method: 'DELETE /v1/things' }, { key: 'k2' }])(
  'sees another request in %o',
  async (changed) => {
    await perform(1);
    await perform(2, changed);
    expect(await effects()).toEqual([{ id: 1 }, { id: 2 }]);
  },
);

it('lets a second request wait for the first and gives it the same result', async () => {
  const results = await Promise.all([1, 2, 3, 4].map((id) => perform(id)));
  expect(new Set(results.map(({ id }) => id)).size).toBe(1);
  expect(await effects()).toHaveLength(1);
});

it('stores nothing when the effect fails, so the key may be used again', async () => {
  const failing = db.transaction((tx) => idempotent(tx, request, () => Promise.reject(new Error('no'))));
  await expect(failing).rejects.toThrow('no');
  expect(await perform(1)).toMatchObject({ id: 1 });
});

it('forgets a key after 24 hours, also with another body', async () => {
  await perform(1);
  await db.query(`update idempotency_keys set created_at = now() - interval '24 hours'`);
  expect(await perform(2, { bodyHash: 'hash-2' })).toMatchObject({ id: 2 });
});

it('prunes only old keys, at most as many as allowed', async () => {
  for (const key of ['a', 'b', 'c', 'd']) await perform(1, { key });
  await db.query(`update idempotency_keys set created_at = now() - interval '25 hours' where key <> 'd'`);
  expect(await pruneIdempotencyKeys(db, 2)).toBe(2);
  expect(await pruneIdempotencyKeys(db, 2)).toBe(1);
  expect(await db.query('select key from idempotency_keys')).toEqual([{ key: 'd' }]);
});
