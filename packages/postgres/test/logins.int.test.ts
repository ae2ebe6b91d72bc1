import { expect, it, onTestFinished } from 'vitest';
import { openDatabase } from '../src/index.ts';
import { testDatabase } from '../src/testing.ts';
import { silentLog } from './silent-log.ts';

// What docs/how-to/rotate-keys.md builds on: logins come and go, the role that owns the schemas stays.
it('works and migrates as the role that its login is set to, which then owns what is made', async () => {
  const place = await testDatabase();
  const owner = `${place.name}_owner`;
  const open = async (schema: string, migrations: readonly [] | readonly [typeof step]) => {
    const database = openDatabase(
      { url: place.url, schema, migrations, applicationName: 'test', poolSize: 1 },
      { log: silentLog() },
    );
    await database.run();
    onTestFinished(() => database.stop());
    return database;
  };
  const step = { version: 1, name: 'notes', sql: 'create table notes (id int)' };
  onTestFinished(() => place.drop());
  const admin = await open('admin', []);
  const [{ login = '' } = {}] = await admin.query<{ login: string }>('select session_user as login');
  await admin.query(`create role ${owner} nologin`);
  await admin.query(`grant create on database ${place.name} to ${owner}`);
  await admin.query(`alter role ${login} in database ${place.name} set role = ${owner}`);

  const service = await open('service', [step]);
  await service.query('insert into notes values (1)');
  expect(await service.query('select session_user as login, current_user as role')).toEqual([
    { login, role: owner },
  ]);
  expect(await service.query(`select tableowner from pg_tables where tablename = 'notes'`)).toEqual([
    { tableowner: owner },
  ]);
});
