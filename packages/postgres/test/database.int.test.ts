import { AppError } from '@skein/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Database, isUniqueViolation, openDatabase } from '../src/index.ts';
import { type TestDatabase, testDatabase } from '../src/testing.ts';
import { silentLog } from './silent-log.ts';

const log = silentLog();
const migrations = [
  {
    version: 1,
    name: 'notes',
    sql: 'create table notes (id bigint primary key, text text, constraint notes_text unique (text))',
  },
];

let place: TestDatabase;
let db: Database;
beforeAll(async () => {
  place = await testDatabase();
  db = openDatabase(
    { url: place.url, schema: 'notes_service', migrations, applicationName: 'test' },
    { log },
  );
  await db.run();
});
afterAll(async () => {
  await db.stop();
  await place.drop();
});

describe('query', () => {
  it('finds the tables of its own schema and sets bounds on every session', async () => {
    const [row] = await db.query(
      `select current_schemas(false) as schemas, current_setting('statement_timeout') as statement,
              current_setting('transaction_timeout') as transaction, current_setting('application_name') as name`,
    );
    expect(row).toEqual({ schemas: '{notes_service}', statement: '30s', transaction: '1min', name: 'test' });
  });

  it('gives int8 as number, xid8, date and timestamp as text', async () => {
    const [row] = await db.query(
      `select 9007199254740991::int8 as big, array[1, null]::int8[] as list, '5'::xid8 as xid,
              date '2026-01-02' as day, timestamp '2026-01-02 03:04' as local`,
    );
    expect(row).toEqual({
      big: 9007199254740991,
      list: [1, null],
      xid: '5',
      day: '2026-01-02',
      local: '2026-01-02 03:04:00',
    });
  });

  it('refuses an int8 that a number cannot hold, and goes on with the next query', async () => {
    await expect(db.query('select 9007199254740992::int8')).rejects.toThrow('beyond 2^53');
    expect(await db.query('select 1 as one')).toEqual([{ one: 1 }]);
  });

  it('prepares a named statement once per connection', async () => {
    await db.transaction(async (tx) => {
      for (const n of [1, 2, 3]) await tx.query({ name: 'double', text: 'select $1::int * 2 as n' }, [n]);
      expect(
        await tx.query(
          `select generic_plans + custom_plans as runs from pg_prepared_statements where name = 'double'`,
        ),
      ).toEqual([{ runs: 3 }]);
    });
  });

  it('leaves a violated constraint to the caller', async () => {
    await db.query('insert into notes values (1, $1)', ['same']);
    const error = await db.query('insert into notes values (2, $1)', ['same']).catch((e: unknown) => e);
    expect(isUniqueViolation(error)).toBe(true);
    expect(isUniqueViolation(error, 'notes_text')).toBe(true);
    expect(isUniqueViolation(error, 'notes_pkey')).toBe(false);
  });

  it('answers deadline_exceeded when a statement takes too long', async () => {
    const quick = openDatabase(
      {
        url: place.url,
        schema: 'notes_service',
        migrations,
        applicationName: 'quick',
        statementTimeoutMs: 20,
      },
      { log },
    );
    await quick.run();
    await expect(quick.query('select pg_sleep(10)')).rejects.toMatchObject({ code: 'deadline_exceeded' });
    await quick.stop();
  });

  it('cancels on the server when the signal aborts, and keeps the connection usable', async () => {
    const caller = new AbortController();
    const sleeping = db.query('select pg_sleep(60)', [], { signal: caller.signal });
    const activity = `select pid from pg_stat_activity where query = 'select pg_sleep(60)' and state = 'active' and application_name = 'test'`;
    await expect.poll(() => db.query(activity)).toHaveLength(1);
    caller.abort();
    await expect(sleeping).rejects.toMatchObject({ code: 'cancelled' });
    expect(await db.query(activity)).toEqual([]);
  });

  it('answers deadline_exceeded for a signal that timed out', async () => {
    const signal = AbortSignal.timeout(20);
    await expect(db.query('select pg_sleep(60)', [], { signal })).rejects.toMatchObject({
      code: 'deadline_exceeded',
    });
  });

  it('answers overloaded when no connection gets free, and at once when too many wait', async () => {
    const small = openDatabase(
      {
        ...{ url: place.url, schema: 'notes_service', migrations, applicationName: 'small' },
        ...{ poolSize: 1, acquireTimeoutMs: 50, maxWaiting: 1 },
      },
      { log },
    );
    await small.run();
    const gate = Promise.withResolvers<void>();
    const holding = small.transaction(() => gate.promise);
    await expect
      .poll(() => db.query(`select 1 from pg_stat_activity where application_name = 'small'`))
      .toHaveLength(1);
    const waiting = small.query('select 1').catch((e: AppError) => e.detail);
    await expect(small.query('select 1')).rejects.toMatchObject({
      code: 'overloaded',
      detail: 'Too many wait for the database',
    });
    expect(await waiting).toBe('All database connections are busy');
    gate.resolve();
    await holding;
    await small.stop();
  });

  it('takes a caller whose signal aborts out of the queue, and hands the connection to the next', async () => {
    const small = openDatabase(
      { url: place.url, schema: 'notes_service', migrations, applicationName: 'queue', poolSize: 1 },
      { log },
    );
    await small.run();
    const gate = Promise.withResolvers<void>();
    const holding = small.transaction(() => gate.promise);
    const caller = new AbortController();
    const waiting = small.query('select 1', [], { signal: caller.signal });
    caller.abort(new AppError('deadline_exceeded'));
    await expect(waiting).rejects.toMatchObject({ code: 'deadline_exceeded' });
    gate.resolve();
    await holding;
    expect(await small.query('select 1 as one')).toEqual([{ one: 1 }]);
    await small.stop();
  });
});

describe('transaction', () => {
  it('rolls back when its function throws', async () => {
    const failing = db.transaction(async (tx) => {
      await tx.query(`insert into notes values (100, 'gone')`);
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await db.query('select 1 from notes where id = 100')).toEqual([]);
  });

  it('runs again when it lost against another transaction', async () => {
    await db.query(`insert into notes values (200, 'a')`);
    let runs = 0;
    await db.transaction(
      async (tx) => {
        runs += 1;
        await tx.query('select text from notes where id = 200');
        if (runs === 1) await db.query(`update notes set text = 'b' where id = 200`);
        await tx.query(`update notes set text = text || '!' where id = 200`);
      },
      { isolation: 'repeatable read' },
    );
    expect(runs).toBe(2);
    expect(await db.query('select text from notes where id = 200')).toEqual([{ text: 'b!' }]);
  });

  it('gives up with conflict after five retries', async () => {
    let runs = 0;
    const losing = db.transaction(async (tx) => {
      runs += 1;
      await tx.query(`do $$ begin raise exception 'lost' using errcode = '40001'; end $$`);
    });
    await expect(losing).rejects.toMatchObject({ code: 'conflict' });
    expect(runs).toBe(6);
  });

  it('refuses to commit when the error of a statement was swallowed', async () => {
    const swallowing = db.transaction(async (tx) => {
      await tx.query('select nonsense').catch(() => {});
    });
    await expect(swallowing).rejects.toThrow('swallowed');
  });

  it('refuses writes when it is read-only', async () => {
    const writing = db.transaction((tx) => tx.query(`insert into notes values (300, 'x')`), {
      readOnly: true,
    });
    await expect(writing).rejects.toMatchObject({ code: '25006' });
  });

  it('refuses a transaction that is used after its end', async () => {
    const tx = await db.transaction(async (open) => open);
    await expect(tx.query('select 1')).rejects.toThrow('has ended');
  });

  it('rolls back when the signal aborts before the commit', async () => {
    const caller = new AbortController();
    const late = db.transaction(
      async (tx) => {
        await tx.query(`insert into notes values (400, 'late')`);
        caller.abort();
      },
      { signal: caller.signal },
    );
    await expect(late).rejects.toMatchObject({ code: 'cancelled' });
    expect(await db.query('select 1 from notes where id = 400')).toEqual([]);
  });

  it('ends a transaction that takes too long', async () => {
    const quick = openDatabase(
      {
        url: place.url,
        schema: 'notes_service',
        migrations,
        applicationName: 'quick-tx',
        // On a busy machine some time passes between BEGIN and the statement, and it is the statement that is to be late.
        transactionTimeoutMs: 1_000,
      },
      { log },
    );
    await quick.run();
    const slow = quick.transaction((tx) => tx.query('select pg_sleep(30)'));
    await expect(slow).rejects.toMatchObject({ code: 'deadline_exceeded' });
    expect(await quick.query('select 1 as one')).toEqual([{ one: 1 }]);
    await quick.stop();
  });
});
