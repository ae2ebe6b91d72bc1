import { openDatabase } from '@skein/postgres';
import { testDatabase } from '@skein/postgres/testing';
import { createLogger } from '@skein/telemetry';
import { expect, it, onTestFinished } from 'vitest';
import { postgresDevices } from '../src/adapters/postgres-devices.ts';
import { postgresSweeps } from '../src/adapters/postgres-sweeps.ts';
import { migrations } from '../src/adapters/schema.ts';

const day = 86_400_000;

it('the logins of a device are listed last seen first, a hundred at most, and forgotten after 90 days', async () => {
  const { url } = await testDatabase();
  const database = openDatabase(
    { url, schema: 'session_sync', migrations, applicationName: 'test', poolSize: 1 },
    { log: createLogger({ service: 'test', instance: 'test', level: 'silent' }) },
  );
  await database.run();
  onTestFinished(() => database.stop());
  const devices = postgresDevices(database);
  const device = { id: 'laptop', platform: 'web', name: '' };
  const logins = async () => (await devices.list('ann', 'laptop'))[0]?.sessionIds;

  for (let at = 1; at <= 101; at += 1)
    await devices.touch([{ userId: 'ann', device, login: { kind: 'session', id: `s${at}` } }], at);
  const newest = Array.from({ length: 100 }, (_, n) => `s${101 - n}`);
  expect(await logins()).toEqual(newest);

  // The device goes on being seen; what it came with long ago does not work any more.
  await devices.touch([{ userId: 'ann', device, login: { kind: 'session', id: 'late' } }], 60 * day);
  await postgresSweeps(database).forget(90 * day, []);
  expect(await logins()).toEqual(['late', ...newest.slice(0, 99)]);
  await postgresSweeps(database).forget(91 * day, []);
  expect(await logins()).toEqual(['late']);
});
