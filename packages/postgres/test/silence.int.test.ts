import { type FaultProxy, faultProxy } from '@skein/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Database, isCommitUnknown, openDatabase } from '../src/index.ts';
import { type TestDatabase, testDatabase } from '../src/testing.ts';
import { silentLog } from './silent-log.ts';

let place: TestDatabase;
let proxy: FaultProxy;
let db: Database;
beforeEach(async () => {
  place = await testDatabase();
  const { searchParams, port } = new URL(place.url);
  proxy = await faultProxy({ target: { path: `${searchParams.get('host')}/.s.PGSQL.${port || 5432}` } });
  const through = new URL(place.url);
  through.searchParams.delete('host');
  through.hostname = '127.0.0.1';
  through.port = String(proxy.port);
  db = openDatabase(
    {
      ...{ url: String(through), schema: 'silence', applicationName: 'test', poolSize: 2 },
      migrations: [{ version: 1, name: 'facts', sql: 'create table facts (id int primary key)' }],
      // They bound what has to succeed too.
      ...{ statementTimeoutMs: 1_500, acquireTimeoutMs: 10_000 },
    },
    { log: silentLog() },
  );
  await db.run();
  await db.query('select 1');
});
afterEach(async () => {
  await db.stop();
  await proxy.stop();
  await place.drop();
});

/** Past the statement's own bound and the margin for its answer, on a machine that is busy. */
const patienceMs = 60_000;

describe('a network that swallows everything', () => {
  it(
    'costs a statement no more than its bound, and the next one has a new connection',
    async () => {
      proxy.halfOpen();
      await expect(db.query('select 1')).rejects.toMatchObject({ code: 'unavailable' });
      expect(await db.query('select 2 as two')).toEqual([{ two: 2 }]);
    },
    patienceMs,
  );

  it(
    'costs a statement no more than its caller can wait',
    async () => {
      proxy.halfOpen();
      const startedAt = performance.now();
      await expect(db.query('select 1', [], { answerMs: 100 })).rejects.toMatchObject({
        code: 'unavailable',
      });
      // The statement's own bound is 1.5 s and 3 s.
      expect(performance.now() - startedAt).toBeLessThan(4_500);
      expect(await db.query('select 2 as two')).toEqual([{ two: 2 }]);
    },
    patienceMs,
  );

  it(
    'ends a transaction in the middle, with everything that waits in it',
    async () => {
      const inIt = db.transaction(async (tx) => {
        await tx.query('insert into facts values (1)');
        proxy.halfOpen();
        await Promise.all([2, 3].map((id) => tx.query('insert into facts values ($1)', [id])));
      });
      await expect(inIt).rejects.toMatchObject({ code: 'unavailable' });
      expect(await db.query('select id from facts')).toEqual([]);
    },
    patienceMs,
  );

  it(
    'leaves a commit whose outcome nobody knows',
    async () => {
      const caught = await db
        .transaction(async (tx) => {
          await tx.query('insert into facts values (1)');
          // The line dies once COMMIT is on its way: all statements of the function are answered.
          queueMicrotask(() => proxy.stall());
        })
        .catch((error: unknown) => error);
      expect(isCommitUnknown(caught)).toBe(true);
      proxy.heal();
      await expect.poll(() => db.query('select 1 as one'), { timeout: 30_000 }).toEqual([{ one: 1 }]);
    },
    patienceMs,
  );
});
