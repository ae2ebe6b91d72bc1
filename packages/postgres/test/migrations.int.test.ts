import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Migration, openDatabase } from '../src/index.ts';
import { type TestDatabase, testDatabase } from '../src/testing.ts';
import { silentLog } from './silent-log.ts';

const step = (version: number, sql = `create table t${version} (id int)`): Migration => ({
  version,
  name: `step ${version}`,
  sql,
});

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
  expect(lines.join()).toContain('one version ahead');
  await expect(start('ahead', [step(1)])).rejects.toMatchObject({
    code: 'unavailable',
    detail: 'Schema ahead is at version 3, this program knows 1 and serves at most 2: start a newer program',
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

it('refuses a schema name that would need quoting', () => {
  expect(() => open('No; drop', [])).toThrow('is not a schema name');
});
