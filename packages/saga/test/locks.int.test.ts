import type { Database } from '@skein/postgres';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineSaga } from '../src/index.ts';
import { maxInLine } from '../src/locks.ts';
import { freshDatabase, runSagas, soon } from './fixture.ts';

/** A saga that says when it is in and out, and stays in until it may leave. */
const visit = (onLocked: 'queue' | 'fail', stay: (who: string) => Promise<void> = async () => {}) => {
  const seen: string[] = [];
  const definition = defineSaga({
    name: 'visit',
    version: 1,
    input: z.object({ who: z.string(), rooms: z.array(z.string()) }),
    locks: ({ rooms }) => rooms,
    onLocked,
  }).retriable('visit', {
    action: async ({ input }) => {
      seen.push(`${input.who} in`);
      await stay(input.who);
      seen.push(`${input.who} out`);
    },
  });
  return { definition, seen };
};

const gate = () => Promise.withResolvers<void>();

const lockRows = (database: Database) => database.query('select 1 from saga_lock');

describe('sagas with a lock in common', () => {
  it('run one after the other in the order they came, others beside them', async () => {
    const { database } = await freshDatabase();
    const go = gate();
    const { definition, seen } = visit('queue', (who) => (who === 'other' ? Promise.resolve() : go.promise));
    const sagas = await runSagas({ database, definitions: [definition] });
    const start = (who: string, ...rooms: string[]) => sagas.startNow(definition, { who, rooms });
    const first = await start('first', 'user:42');
    const second = await start('second', 'user:42');
    const third = await start('third', 'user:42');
    const other = await start('other', 'user:43');
    await other.settled(soon());
    expect((await sagas.inspect(second.id)).row.state).toBe('waiting');
    expect(seen.filter((what) => !what.startsWith('other'))).toEqual(['first in']);
    go.resolve();
    await Promise.all([first, second, third].map(({ settled }) => settled(soon())));
    expect(seen.filter((what) => !what.startsWith('other'))).toEqual(
      ['first', 'second', 'third'].flatMap((who) => [`${who} in`, `${who} out`]),
    );
    expect(await lockRows(database)).toEqual([]);
  });

  it('never wait for one another in a circle, whatever order they name their locks in', async () => {
    const { database } = await freshDatabase();
    const { definition, seen } = visit('queue');
    const one = await runSagas({ database, definitions: [definition], instance: 'one' });
    const two = await runSagas({ database, definitions: [definition], instance: 'two' });
    const rooms = [
      ['a', 'b'],
      ['b', 'a'],
      ['b', 'c'],
      ['c', 'a'],
      ['a', 'b', 'c'],
      ['c', 'b'],
    ];
    const started = await Promise.all(
      [...rooms, ...rooms, ...rooms].map((names, at) =>
        (at % 2 === 0 ? one : two).startNow(definition, { who: `v${at}`, rooms: names }),
      ),
    );
    await Promise.all(started.map(({ settled }) => settled(soon())));
    // Every pair of these rooms overlaps, so nobody was in while somebody else was.
    for (const [at, what] of seen.entries())
      if (what.endsWith(' in')) expect(seen[at + 1]).toBe(what.replace(' in', ' out'));
    expect(seen).toHaveLength(36);
  });

  it('are one and wait once when they are started with one key at the same moment', async () => {
    const { database } = await freshDatabase();
    const { definition, seen } = visit('queue');
    const sagas = await runSagas({ database, definitions: [definition] });
    const start = () => sagas.startNow(definition, { who: 'me', rooms: ['x'] }, { key: 'k' });
    const all = await Promise.all([start(), start(), start(), start()]);
    expect(new Set(all.map(({ id }) => id)).size).toBe(1);
    await all[0]?.settled(soon());
    expect(seen).toEqual(['me in', 'me out']);
    expect(await lockRows(database)).toEqual([]);
  });

  it('are refused instead where that was asked for', async () => {
    const { database } = await freshDatabase();
    const go = gate();
    const { definition } = visit('fail', () => go.promise);
    const sagas = await runSagas({ database, definitions: [definition] });
    const first = await sagas.startNow(definition, { who: 'first', rooms: ['user:42'] });
    const second = sagas.startNow(definition, { who: 'second', rooms: ['user:42'] });
    await expect(second).rejects.toMatchObject({
      code: 'conflict',
      detail: expect.stringContaining('user:42'),
    });
    go.resolve();
    await first.settled(soon());
    const third = await sagas.startNow(definition, { who: 'third', rooms: ['user:42'] });
    expect(await third.settled(soon())).toMatchObject({ state: 'done' });
  });

  it('do not wait in an endless line', async () => {
    const { database } = await freshDatabase();
    const go = gate();
    const { definition } = visit('queue', () => go.promise);
    const sagas = await runSagas({ database, definitions: [definition] });
    await database.query(
      `insert into saga_lock (key, saga_id) select 'user:42', gen_random_uuid() from generate_series(1, ${maxInLine})`,
    );
    const late = sagas.startNow(definition, { who: 'late', rooms: ['user:42'] });
    await expect(late).rejects.toMatchObject({ code: 'overloaded' });
    go.resolve();
  });

  it('let the next one go on when the first one is killed, or leaves the line', async () => {
    const { database } = await freshDatabase();
    const go = gate();
    const { definition, seen } = visit('queue', (who) => (who === 'first' ? go.promise : Promise.resolve()));
    const sagas = await runSagas({ database, definitions: [definition] });
    const by = { actor: 'ada', reason: 'it hangs' };
    const first = await sagas.startNow(definition, { who: 'first', rooms: ['x'] });
    const second = await sagas.startNow(definition, { who: 'second', rooms: ['x'] });
    const third = await sagas.startNow(definition, { who: 'third', rooms: ['x'] });
    await expect.poll(() => seen).toEqual(['first in']);
    await sagas.operate(second.id, { kind: 'cancel' }, by);
    expect(await second.settled(soon())).toMatchObject({ state: 'compensated' });
    await sagas.operate(first.id, { kind: 'kill' }, by);
    expect(await third.settled(soon())).toMatchObject({ state: 'done' });
    expect(seen).not.toContain('second in');
    go.resolve();
  });
});
