import { testDatabase } from '@skein/postgres/testing';
import { expect, it } from 'vitest';
import { postgresStore } from '../src/adapters/postgres-store.ts';
import { openedDatabase } from './fixture.ts';

it('a revocation that commits late is never numbered before one a reader has already passed', async () => {
  const { url } = await testDatabase();
  const database = await openedDatabase(url, 4);
  const store = postgresStore(database, {
    ...{ newId: () => 'unused', changed: () => {}, registered: () => {} },
    register: async () => {},
  });
  const read = async () =>
    (await store.revocations.after(0, 0, 10)).map(({ revocation }) => Object.values(revocation)[0]);
  const waitingForLock = async () => {
    const rows = await database.query(`select 1 from pg_locks where locktype = 'advisory' and not granted`);
    return rows.length;
  };
  let second: Promise<void> = Promise.resolve();
  let secondDone = false;
  await store.transaction(async ({ revocations }) => {
    await revocations.append([{ sessionId: 'first' }], 1);
    second = store
      .transaction((other) => other.revocations.append([{ sessionId: 'second' }], 1))
      .then(() => {
        secondDone = true;
      });
    await expect.poll(async () => secondDone || (await waitingForLock()) === 1).toBe(true);
    expect(await read()).toEqual([]);
  });
  await second;
  expect(await read()).toEqual(['first', 'second']);
});
