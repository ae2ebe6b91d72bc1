import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Migration, openDatabase } from '../src/index.ts';
import { type TestDatabase, testDatabase } from '../src/testing.ts';
import { silentLog } from './silent-log.ts';

const step = (version: number, sql = `create table t${version} (id int)`): Migration => ({
  version,
  name: `step ${version}`,
  sql,
});

/** A step on which code of version `serves` still works. */
const serving = (version: number, serves: number): Migration => ({ ...step(version), serves });

let place: TestDatabase;
beforeAll(async () => {
  place = await testDatabase();
});
afterAll(() => place.drop());

const open = (schema: string, migrations: Migration[], lines: string[] = []) =>
  openDatabase(
    { url: place.url, schema, migrations, applicationName: 'test', poolSize: 1 },
    { log: silentLog(lines) },
  );

/** Starts and stops a process with these steps. */
const start = async (schema: string, migrations: Migration[], lines: string[] = []): Promise<void> => {
  const db = open(schema, migrations, lines);
  try {
    await db.run();
  } finally {
    await db.stop();
  }
};

it('lets several processes start at the same time and runs each step once', async () => {
  const processes = Array.from({ length: 4 }, () =>
    open('race', [step(1), step(2, 'create table t2 (id int); insert into t2 values (1)')]),
  );
  await Promise.all(processes.map((db) => db.run()));
  expect(await processes[0]?.query('select count(*)::int as rows from t2')).toEqual([{ rows: 1 }]);
  expect(await processes[0]?.query('select version from schema_migrations order by 1')).toEqual([
    { version: 1 },
    { version: 2 },
  ]);
  await Promise.all(processes.map((db) => db.stop()));
});

it('runs only the steps that are new', async () => {
  await start('growing', [step(1)]);
  const lines: string[] = [];
  await start('growing', [step(1), step(2)], lines);
  expect(lines.filter((line) => line.includes('"migrated"'))).toHaveLength(1);
});

it('serves a schema one version ahead of the code, and refuses one two ahead', async () => {
  await start('ahead', [step(1), step(2), step(3)]);
  const lines: string[] = [];
  await start('ahead', [step(1), step(2)], lines);
  expect(lines.join()).toContain('the schema is ahead of this program');
  await expect(start('ahead', [step(1)])).rejects.toMatchObject({
    code: 'unavailable',
    detail:
      'Schema ahead is at version 3, which serves programs from version 2 on; this one is of version 1: start a newer program (a rollback goes back one release at most)',
  });
});

it('serves code that is several steps behind, as far as the steps say', async () => {
  await start('wide', [step(1), step(2), serving(3, 2), serving(4, 2)]);
  await start('wide', [step(1), step(2)]);
  await expect(start('wide', [step(1)])).rejects.toThrow('serves programs from version 2 on');
});

it('goes on with a history that does not tell yet whom its steps serve', async () => {
  await start('before', [step(1), step(2)]);
  const db = open('before', [step(1), step(2)]);
  await db.run();
  await db.query('alter table schema_migrations drop column serves');
  expect(await db.check?.(0)).toContain('schema before is at version 2');
  await start('before', [step(1), step(2), serving(3, 1)]);
  expect(await db.query('select version, serves from schema_migrations order by 1')).toEqual([
    { version: 1, serves: null },
    { version: 2, serves: null },
    { version: 3, serves: 1 },
  ]);
  await db.stop();
});

describe('a check instead of a start', () => {
  const check = async (schema: string, migrations: Migration[]): Promise<string> => {
    const said = await open(schema, migrations).check?.(0);
    return said?.replace(/^.* is reached: /, '') ?? '';
  };

  it('says what a start would do, and does nothing of it', async () => {
    expect(await check('looked', [step(1)])).toBe('schema looked will be made, at version 1');
    expect(await check('looked', [step(1)])).toBe('schema looked will be made, at version 1');
    await start('looked', [step(1)]);
    expect(await check('looked', [step(1)])).toBe('schema looked is at version 1');
    expect(await check('looked', [step(1), step(2)])).toBe(
      'schema looked will be brought from version 1 to 2',
    );
    expect(await check('looked', [step(1)])).toBe('schema looked is at version 1');
  });

  it('lets a rollback go back one version, and refuses an older one', async () => {
    await start('back', [step(1), step(2), step(3)]);
    expect(await check('back', [step(1), step(2)])).toBe(
      'schema back is at version 3 and serves this program, of version 2',
    );
    await expect(check('back', [step(1)])).rejects.toMatchObject({
      code: 'unavailable',
      detail: expect.stringContaining('start a newer program (a rollback goes back one release at most)'),
    });
  });

  it('refuses an upgrade that leaves a release out, for those that run now would fail', async () => {
    await start('leap', [step(1)]);
    await expect(check('leap', [step(1), step(2), step(3)])).rejects.toMatchObject({
      detail:
        'Schema leap is at version 1 and would be brought to 3, which serves programs from version 2 on, so those that run now would fail: upgrade to the release before this one first, or stop all services and start this one without the check',
    });
    expect(await check('leap', [step(1), step(2), serving(3, 1)])).toContain('from version 1 to 3');
  });

  it('says when the schema is not there and may not be made', async () => {
    const url = new URL(place.url);
    // A role that may do nothing; it is of the whole server, as every role.
    url.searchParams.set('options', '-c role=pg_monitor');
    const db = openDatabase(
      { url: String(url), schema: 'not_there', migrations: [step(1)], applicationName: 'test' },
      { log: silentLog() },
    );
    await expect(db.check?.(0)).rejects.toMatchObject({
      detail:
        'Schema not_there is not there and may not be made: give the user CREATE on the database, or make the schema for it',
    });
  });
});

it('refuses a step whose text was changed after it had run', async () => {
  await start('changed', [step(1)]);
  await expect(start('changed', [step(1, 'create table other (id int)')])).rejects.toThrow(
    'Migration 1 (step 1)',
  );
});

it('leaves nothing behind when a step fails', async () => {
  await expect(start('failing', [step(1), step(2, 'create table t1 (id int)')])).rejects.toMatchObject({
    code: '42P07',
  });
  const db = open('failing', [step(1)]);
  await db.run();
  expect(await db.query('select version from schema_migrations')).toEqual([{ version: 1 }]);
  await db.stop();
});

it('refuses steps with a gap before it touches anything', () => {
  expect(() => open('gap', [step(1), step(3)])).toThrow('has version 3, expected 2');
});

it('refuses a step that claims to serve code newer than the one before it', () => {
  expect(() => open('claims', [step(1), serving(2, 2)])).toThrow('serves 2, expected 0 to 1');
});

it('refuses a schema name that would need quoting', () => {
  expect(() => open('No; drop', [])).toThrow('is not a schema name');
});
