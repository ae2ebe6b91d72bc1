import { openDatabase } from '@skein/postgres';
import { testDatabase } from '@skein/postgres/testing';
import { createLogger } from '@skein/telemetry';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { postgresSweeps } from '../src/adapters/postgres-sweeps.ts';
import { migrations } from '../src/adapters/schema.ts';

let database: ReturnType<typeof openDatabase>;
beforeAll(async () => {
  const { url } = await testDatabase();
  database = openDatabase(
    { url, schema: 'session_sync', migrations, applicationName: 'test', poolSize: 2 },
    { log: createLogger({ service: 'test', instance: 'test', level: 'silent' }) },
  );
  await database.run();
});
afterAll(() => database.stop());

/** How many results there are of each device. */
const left = async () => {
  const rows = await database.query<{ device: string; count: number }>(
    'select device, count(*) as count from mutation_result group by device order by device',
  );
  return Object.fromEntries(rows.map(({ device, count }) => [device, count]));
};

it('forgets the results of a few devices with every sweep, and in the end of all', async () => {
  await database.query(
    `insert into device_space (space, user_id, device, last_seq, acked_seq)
     select gen_random_uuid(), 'ann', 'd' || n, 4, 3 from generate_series(1, 5) as g(n)`,
  );
  // One that never acknowledges keeps its newest thousand.
  await database.query(
    `insert into device_space (space, user_id, device, last_seq)
     values ('ffffffff-ffff-4fff-8fff-ffffffffffff', 'ann', 'silent', 1006)`,
  );
  await database.query(
    `insert into mutation_result (space, user_id, device, seq, hash, result)
     select space, user_id, device, n, '', '{}' from device_space, generate_series(1, last_seq) as g(n)`,
  );
  const sweeps = postgresSweeps(database, 2);
  const seen = [await left()];
  const steps = async (count: number) => {
    for (let step = 0; step < count; step += 1) {
      await sweeps.forget(0, []);
      seen.push(await left());
    }
  };
  await steps(1);
  const sum = (one: Record<string, number> = {}) => Object.values(one).reduce((all, count) => all + count, 0);
  expect(sum(seen[0]) - sum(seen[1])).toBe(2);
  await steps(30);
  const end = { d1: 1, d2: 1, d3: 1, d4: 1, d5: 1, silent: 1_000 };
  expect(seen.at(-1)).toEqual(end);
  // And from the beginning again.
  await database.query(
    `insert into mutation_result (space, user_id, device, seq, hash, result)
     select space, user_id, device, 1, '', '{}' from device_space where device = 'd3'`,
  );
  await steps(5);
  expect(seen.at(-1)).toEqual(end);
});
