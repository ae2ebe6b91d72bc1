import { expect, it, onTestFinished } from 'vitest';
import { journal } from '../src/journal.ts';
import { freshDatabase } from './fixture.ts';

const idOf = (n: number) => `019c0000-0000-7000-8000-00000000000${n}`;

it('a journal that deadlocks with a verb writes again what it has of other sagas', async () => {
  const { database } = await freshDatabase();
  const written = journal({ database, owner: 'one', leaseMs: 30_000, maxQueued: 10 });
  onTestFinished(() => written.stop());
  const start = (n: number) =>
    written.start({
      ...{ id: idOf(n), name: 'order', version: 1, key: undefined, subject: undefined, input: '{}' },
      ...{ correlationId: 'c', traceparent: undefined },
    });
  expect(await Promise.all([1, 2, 3, 4].map(start))).toEqual([true, true, true, true]);
  const append = (n: number) =>
    written.append({
      ...{ id: idOf(n), fence: 1, pos: 0, state: 'compensating' },
      entry: { kind: 'refused', step: 'charge', data: '{}' },
    });
  const appended = await database.transaction(async (tx) => {
    // What a verb does, in its order.
    await tx.query('select 1 from saga where id = $1 for update', [idOf(1)]);
    const results = Promise.allSettled([1, 2, 3, 4].map(append));
    await expect
      .poll(
        () =>
          database.query(
            `select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
          ),
        { timeout: 900 },
      )
      .not.toEqual([]);
    await tx.query(
      `insert into saga_entry (saga_id, pos, kind, step) values ($1, 0, 'cancelled', '') on conflict do nothing`,
      [idOf(1)],
    );
    await tx.query('update saga set fence = fence + 1 where id = $1', [idOf(1)]);
    return { results };
  });
  expect(
    (await appended.results).map((one) => (one.status === 'fulfilled' ? one.value : one.reason)),
  ).toEqual([false, true, true, true]);
});
