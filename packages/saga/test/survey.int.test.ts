import type { Database } from '@skein/postgres';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineSaga } from '../src/index.ts';
import { pruneSagas } from '../src/inspect.ts';
import { freshDatabase, runSagas, soon } from './fixture.ts';

/** A saga with locks that stays until it may go. */
const staying = () => {
  const go = Promise.withResolvers<void>();
  const definition = defineSaga({
    name: 'stay',
    version: 1,
    input: z.object({ rooms: z.array(z.string()) }),
    locks: ({ rooms }) => rooms,
    onLocked: 'queue',
  }).retriable('stay', { action: () => go.promise });
  return { definition, go };
};

const queryPlan = async (database: Database, sql: string): Promise<string> =>
  database.transaction(async (tx) => {
    await tx.query('set local enable_seqscan = off');
    return JSON.stringify(await tx.query(`explain ${sql}`));
  });

describe('what is counted of sagas', () => {
  it('has those that wait for a lock, and none of them as overdue that is behind another', async () => {
    const { database } = await freshDatabase();
    const { definition, go } = staying();
    const first = await runSagas({ database, definitions: [definition] });
    const one = await first.startNow(definition, { rooms: ['a'] });
    const two = await first.startNow(definition, { rooms: ['a', 'b'] });
    // As it is when the one before it has left another of its lines.
    await database.query(`update saga set due_at = now() - interval '2 minutes' where state = 'waiting'`);
    const second = await runSagas({ database, definitions: [definition], instance: 'two' });
    await expect.poll(() => second.metrics.print()).toContain('skein_saga_live{state="waiting"} 1');
    expect(second.metrics.print()).toContain('skein_saga_live{state="running"} 1');
    expect(second.metrics.print()).toContain('skein_saga_overdue 0');
    go.resolve();
    await Promise.all([one.settled(soon()), two.settled(soon())]);
  });

  it('comes from the index of live sagas, and what is forgotten from that of ended ones', async () => {
    const { database } = await freshDatabase();
    const live = 'select name, count(*) from saga where ended_at is null group by name';
    expect(await queryPlan(database, live)).toContain('saga_live');
    const listed = `select id from saga where state = any('{parked}') and ended_at is null order by id desc limit 5`;
    expect(await queryPlan(database, listed)).toContain('saga_live');
    const ended = `select 1 from saga where ended_at < now() - interval '30 days' order by ended_at limit 10`;
    expect(await queryPlan(database, ended)).toContain('saga_ended');
    const seen = `select 1 from saga_step_seen where seen_at < now() - interval '120 days' order by seen_at limit 10`;
    expect(await queryPlan(database, seen)).toContain('Index');
  });
});

it('sagas are forgotten a month after their end with their journals, the oldest first', async () => {
  const { database } = await freshDatabase();
  const { definition, go } = staying();
  go.resolve();
  const sagas = await runSagas({ database, definitions: [definition] });
  const ids: string[] = [];
  for (let n = 0; n < 3; n += 1) {
    const { id, settled } = await sagas.startNow(definition, { rooms: [] });
    await settled(soon());
    ids.push(id);
  }
  for (const [at, days] of [31, 40, 29].entries())
    await database.query('update saga set ended_at = now() - make_interval(days => $2) where id = $1', [
      ids[at],
      days,
    ]);
  const left = async () =>
    (await database.query<{ id: string }>('select distinct saga_id as id from saga_entry')).map(
      ({ id }) => id,
    );
  expect(await pruneSagas(database, 1)).toBe(1);
  expect((await left()).sort()).toEqual([ids[0], ids[2]].sort());
  expect(await pruneSagas(database)).toBe(1);
  expect(await left()).toEqual([ids[2]]);
  expect((await sagas.list({ limit: 10 })).map(({ id }) => id)).toEqual([ids[2]]);
});
