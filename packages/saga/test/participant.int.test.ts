import type { Database } from '@skein/postgres';
import { describe, expect, it } from 'vitest';
import { participant } from '../src/index.ts';
import { freshDatabase } from './fixture.ts';

const saga = '0199c2f0-7d3a-7000-8000-0123456789ab';
const keys = { do: `${saga}:reserve:do`, undo: `${saga}:reserve:undo` };

const count = async (database: Database): Promise<number> => {
  const [row] = await database.query<{ n: number }>('select count(*)::int as n from effect');
  return row?.n ?? 0;
};
const reserve = (database: Database, work: () => Promise<void> = async () => {}) =>
  database.transaction((tx) =>
    participant.once(tx, keys.do, async () => {
      await tx.query(`insert into effect (saga, step, what) values ('s', 'reserve', 'do')`);
      await work();
      return { seat: 7 };
    }),
  );
const release = (database: Database, seen: unknown[] = []) =>
  database.transaction((tx) =>
    participant.undo<{ seat: number }>(tx, keys.undo, async (result) => {
      seen.push(result);
      await tx.query('delete from effect');
    }),
  );

describe('a participant', () => {
  it('acts once however often it is asked, and gives the same answer', async () => {
    const { database } = await freshDatabase();
    const answers = await Promise.all([reserve(database), reserve(database), reserve(database)]);
    expect(answers).toEqual([{ seat: 7 }, { seat: 7 }, { seat: 7 }]);
    expect(await count(database)).toBe(1);
  });

  it('takes back once, with what it gave', async () => {
    const { database } = await freshDatabase();
    await reserve(database);
    const seen: unknown[] = [];
    await release(database, seen);
    await release(database, seen);
    expect(seen).toEqual([{ seat: 7 }]);
    expect(await count(database)).toBe(0);
  });

  it('refuses the action that comes after its compensation', async () => {
    const { database } = await freshDatabase();
    const seen: unknown[] = [];
    await release(database, seen);
    await expect(reserve(database)).rejects.toMatchObject({ code: 'step_undone' });
    expect(seen).toEqual([]);
    expect(await count(database)).toBe(0);
  });

  it('refuses the action that is asked for again after both have been there', async () => {
    const { database } = await freshDatabase();
    await reserve(database);
    await release(database);
    await expect(reserve(database)).rejects.toMatchObject({ code: 'step_undone' });
    expect(await count(database)).toBe(0);
  });

  it('waits with the compensation for an action that is under way', async () => {
    const { database } = await freshDatabase();
    const [acting, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const action = reserve(database, async () => {
      acting.resolve();
      await go.promise;
    });
    await acting.promise;
    const seen: unknown[] = [];
    const compensation = release(database, seen);
    await expect
      .poll(() => database.query(`select 1 from pg_stat_activity where wait_event_type = 'Lock'`))
      .toHaveLength(1);
    go.resolve();
    await Promise.all([action, compensation]);
    expect(seen).toEqual([{ seat: 7 }]);
    expect(await count(database)).toBe(0);
  });

  it('remembers nothing of an action that was rolled back', async () => {
    const { database } = await freshDatabase();
    const failed = reserve(database, () => Promise.reject(new Error('no')));
    await expect(failed).rejects.toThrow('no');
    expect(await reserve(database)).toEqual({ seat: 7 });
    expect(await count(database)).toBe(1);
  });

  it('does not act without the key of a step', async () => {
    const { database } = await freshDatabase();
    const asked = database.transaction((tx) => participant.once(tx, 'something', async () => 1));
    await expect(asked).rejects.toMatchObject({ code: 'invalid_request' });
  });

  it('forgets steps no saga can ask for any more', async () => {
    const { database } = await freshDatabase();
    await reserve(database);
    expect(await participant.prune(database)).toBe(0);
    await database.query(`update saga_step_seen set seen_at = now() - interval '121 days'`);
    expect(await participant.prune(database)).toBe(1);
  });
});
