import { AppError } from '@skein/contracts';
import type { Database } from '@skein/postgres';
import { createMetrics } from '@skein/telemetry';
import { expect, test } from 'vitest';
import { measuredDatabase } from '../src/measured-database.ts';

test('work of a database is measured by how it ends, and counted while it is under way', async () => {
  const metrics = createMetrics();
  const gate = Promise.withResolvers<never[]>();
  const answers: (() => Promise<never[]>)[] = [
    () => gate.promise,
    async () => Promise.reject(new AppError('overloaded')),
    async () => Promise.reject(new Error('duplicate key')),
  ];
  const inner = {
    id: 'postgres:test',
    run: async () => {},
    stop: async () => {},
    query: () => answers.shift()?.(),
    transaction: (fn: (tx: unknown) => Promise<unknown>) => fn({}),
  } as unknown as Database;
  const database = measuredDatabase(inner, metrics);

  const first = database.query('select 1');
  await expect(database.query('select 2')).rejects.toThrow('overloaded');
  await expect(database.query('select 3')).rejects.toThrow('duplicate');
  expect(metrics.print()).toContain('skein_database_in_flight 1\n');
  gate.resolve([]);
  await first;
  await expect(database.transaction(async () => 7)).resolves.toBe(7);

  const page = metrics.print();
  expect(page).toContain('skein_database_in_flight 0\n');
  for (const series of [
    'work="query",code="ok"',
    'work="query",code="overloaded"',
    'work="query",code="refused"',
  ])
    expect(page).toContain(`skein_database_seconds_count{${series}} 1\n`);
  expect(page).toContain('skein_database_seconds_count{work="transaction",code="ok"} 1\n');
  expect(database.id).toBe('postgres:test');
});
