import { existsSync } from 'node:fs';
import pg from 'pg';
import { expect, it, vi } from 'vitest';
import { testCluster, testDatabase, testPostgresVariable } from '../src/testing.ts';

const run = async (url: string, sql: string): Promise<unknown[]> => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
};

it('gives every caller a database of its own, or a copy of a template, and drops it', async () => {
  const one = await testDatabase();
  await run(one.url, 'create table mine as select 1 as id');
  const copy = await testDatabase({ template: one.name });
  expect(await run(copy.url, 'select id from mine')).toEqual([{ id: 1 }]);
  const other = await testDatabase();
  await expect(run(other.url, 'select id from mine')).rejects.toMatchObject({ code: '42P01' });
  for (const database of [one, copy, other]) await database.drop();
  await expect(run(one.url, 'select 1')).rejects.toMatchObject({ code: '3D000' });
});

it('fails with a sentence when there is no cluster', async () => {
  vi.stubEnv(testPostgresVariable, '');
  await expect(testDatabase()).rejects.toThrow('No Postgres for this test');
  vi.unstubAllEnvs();
});

it('removes a cluster with its files', async () => {
  const cluster = await testCluster({ maxConnections: 5 });
  const [row] = await run(cluster.url, `select current_setting('data_directory') as dir`);
  const { dir } = row as { dir: string };
  await cluster.stop();
  await expect(run(cluster.url, 'select 1')).rejects.toMatchObject({ code: 'ENOENT' });
  expect(existsSync(dir)).toBe(false);
});
