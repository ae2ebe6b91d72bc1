import type { Database } from '@skein/postgres';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { claimSagas } from '../src/claims.ts';
import { defineSaga } from '../src/index.ts';
import { appendEntries } from '../src/journal.ts';
import { effectsOf, freshDatabase, runSagas, soon } from './fixture.ts';
import { orderSaga } from './order-saga.ts';

/** Ends the lease of a saga, as time would. */
const expire = (database: Database, id: string) =>
  database.query('update saga set due_at = now() where id = $1', [id]);

const gate = () => Promise.withResolvers<void>();

describe('an owner that was away for longer than its lease', () => {
  it('writes no more, and its attempt is given up', async () => {
    const { database } = await freshDatabase();
    const [entered, go] = [gate(), gate()];
    const signals: AbortSignal[] = [];
    const sleepy = defineSaga({ name: 'nap', version: 1, input: z.object({}) }).retriable('sleep', {
      output: z.object({ by: z.string() }),
      action: async (ctx) => {
        signals.push(ctx.signal);
        entered.resolve();
        if (signals.length === 1) await go.promise;
        return { by: signals.length === 1 || ctx.signal === signals[0] ? 'first' : 'second' };
      },
    });
    const first = await runSagas({ database, definitions: [sleepy], instance: 'first', leaseMs: 300 });
    const { id } = await first.startNow(sleepy, {});
    await entered.promise;
    // A process that stands still renews nothing.
    await database.query(`update saga set owner = 'first', due_at = now() where id = $1`, [id]);
    const second = await runSagas({ database, definitions: [sleepy], instance: 'second' });
    expect(await second.settled(id, soon())).toMatchObject({ results: { sleep: { by: 'second' } } });
    await expect.poll(() => signals[0]?.aborted).toBe(true);
    go.resolve();
    await first.drain?.();
    expect((await second.inspect(id)).entries).toHaveLength(1);
    expect(first.metrics.print()).toContain('skein_saga_lost_total{saga="nap"} 1');
  });

  it('is refused by its fence even where the new owner has written nothing yet', async () => {
    const { database } = await freshDatabase();
    const order = orderSaga(database);
    const idle = await runSagas({ database, definitions: [order] });
    await idle.drain?.();
    const { id } = await database.transaction((tx) => idle.start(tx, order, { user: 'u1' }));
    const claim = (owner: string) =>
      claimSagas(database, { owner, leaseMs: 0, limit: 1, known: [order], held: [] });
    const [first] = await claim('first');
    const [second] = await claim('second');
    const write = (fence = 0) =>
      appendEntries(database, [
        { id, fence, pos: 0, entry: { kind: 'done', step: 'reserve' }, state: undefined },
      ]);
    expect(await write(first?.fence)).toEqual(new Set());
    expect(await write(second?.fence)).toEqual(new Set([id]));
    // And a position is written once.
    expect(await write(second?.fence)).toEqual(new Set());
  });

  it('keeps a saga nobody has taken over, and does not work on it twice', async () => {
    const { database } = await freshDatabase();
    const [entered, go] = [gate(), gate()];
    let attempts = 0;
    const order = orderSaga(database, {
      before: async () => {
        attempts += 1;
        entered.resolve();
        await go.promise;
      },
    });
    const sagas = await runSagas({ database, definitions: [order], leaseMs: 300 });
    const { id, settled } = await sagas.startNow(order, { user: 'u1' });
    await entered.promise;
    await expire(database, id);
    await expect
      .poll(async () => ((await sagas.inspect(id)).row.dueAt?.getTime() ?? 0) > Date.now())
      .toBe(true);
    go.resolve();
    await settled(soon());
    expect(attempts).toBe(4);
    expect((await sagas.inspect(id)).row.fence).toBe(1);
  });

  it('keeps its sagas while it renews their leases', async () => {
    const { database } = await freshDatabase();
    const go = gate();
    const order = orderSaga(database, { after: () => go.promise });
    const first = await runSagas({ database, definitions: [order], instance: 'first', leaseMs: 150 });
    const second = await runSagas({ database, definitions: [order], instance: 'second' });
    const { id } = await first.startNow(order, { user: 'u1' });
    const lease = async () => (await first.inspect(id)).row.dueAt?.getTime() ?? 0;
    const begun = await lease();
    await expect.poll(async () => (await lease()) - begun).toBeGreaterThan(500);
    go.resolve();
    await first.settled(id, soon());
    expect(second.metrics.print()).not.toContain('skein_saga_taken_over_total{');
  });
});

describe('a process that comes back under its name', () => {
  it('goes on with the sagas of its earlier life at once', async () => {
    const { database } = await freshDatabase();
    const [entered, go] = [gate(), gate()];
    let attempts = 0;
    const order = orderSaga(database, {
      before: async () => {
        attempts += 1;
        entered.resolve();
        // The earlier life hears of nothing any more.
        if (attempts === 1) await go.promise;
      },
    });
    const earlier = await runSagas({ database, definitions: [order], instance: 'one', leaseMs: 600_000 });
    const { id } = await earlier.startNow(order, { user: 'u1' });
    await entered.promise;
    const later = await runSagas({ database, definitions: [order], instance: 'one' });
    expect(await later.settled(id, soon())).toMatchObject({ state: 'done' });
    expect(await effectsOf(database, id)).toEqual(['reserve do', 'hold do', 'charge do', 'ship do']);
    go.resolve();
  });
});

describe('a process that stops', () => {
  it('finishes the step in hand and leaves the rest to others at once', async () => {
    const { database } = await freshDatabase();
    const [entered, go] = [gate(), gate()];
    const order = orderSaga(database, {
      after: async (step, attempt) => {
        if (step !== 'hold' || attempt > 1) return;
        entered.resolve();
        await go.promise;
      },
    });
    const first = await runSagas({ database, definitions: [order], instance: 'first' });
    const { id } = await first.startNow(order, { user: 'u1' });
    await entered.promise;
    const drained = first.drain?.();
    go.resolve();
    await drained;
    const { row, entries } = await first.inspect(id);
    expect(row).toMatchObject({ state: 'running', owner: null, attempts: 0 });
    expect(entries.map(({ step }) => step)).toEqual(['reserve', 'hold']);
    const second = await runSagas({ database, definitions: [order], instance: 'second' });
    expect(await second.settled(id, soon())).toMatchObject({ state: 'done' });
    expect(second.metrics.print()).not.toContain('skein_saga_taken_over_total{');
  });

  it('does not wait for a step that hangs, and the next owner asks again with the same key', async () => {
    const { database } = await freshDatabase();
    const entered = gate();
    const order = orderSaga(database, {
      after: async (step, attempt) => {
        if (step !== 'hold' || attempt > 1) return;
        entered.resolve();
        await new Promise(() => {});
      },
    });
    const first = await runSagas({ database, definitions: [order], instance: 'first' });
    const { id } = await first.startNow(order, { user: 'u1' });
    await entered.promise;
    await first.stop();
    const second = await runSagas({ database, definitions: [order], instance: 'second' });
    expect(await second.settled(id, soon())).toMatchObject({ state: 'done' });
    expect(await effectsOf(database, id)).toEqual(['reserve do', 'hold do', 'charge do', 'ship do']);
    expect((await second.inspect(id)).entries.find(({ step }) => step === 'hold')?.attempts).toBe(2);
  });
});

describe('a database that goes away', () => {
  it('costs time only: the saga goes on where its journal is', async () => {
    const { database } = await freshDatabase();
    const order = orderSaga(database, {
      after: async (_, attempt) => {
        // Every connection is cut while the step's result is on its way into the journal.
        if (attempt === 1)
          await database
            .query(
              'select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()',
            )
            .catch(() => {});
      },
    });
    const sagas = await runSagas({ database, definitions: [order] });
    const { id, settled } = await sagas.startNow(order, { user: 'u1' });
    expect(await settled(soon())).toMatchObject({ state: 'done' });
    expect(await effectsOf(database, id)).toEqual(['reserve do', 'hold do', 'charge do', 'ship do']);
  });
});

describe('definitions', () => {
  const version = (number: number) =>
    defineSaga({ name: 'order', version: number, input: z.object({}) }).retriable(
      `step${number}` as string as 's',
      {
        action: async () => {},
      },
    );

  it('are taken only by processes that have the version; a missing one is told and keeps nobody from starting', async () => {
    const { database } = await freshDatabase();
    const [one, two] = [version(1), version(2)];
    const old = await runSagas({ database, definitions: [one, two], instance: 'old' });
    await old.drain?.();
    // Nobody works on it any more.
    const started = await database.transaction((tx) => old.start(tx, one, {}));
    const lines: string[] = [];
    const young = await runSagas({ database, definitions: [two], instance: 'young', lines });
    const other = await young.startNow(two, {});
    expect(await other.settled(soon())).toMatchObject({ state: 'done' });
    await expect.poll(() => lines.join()).toContain('"definitions":"order@1"');
    expect(young.metrics.print()).toContain('skein_saga_missing_definitions 1');
    expect((await young.inspect(started.id)).row).toMatchObject({ state: 'running', owner: null });
    const back = await runSagas({ database, definitions: [one, two], instance: 'back' });
    expect(await back.settled(started.id, soon())).toMatchObject({ state: 'done', results: {} });
  });

  it('whose steps changed without a new version leave their sagas alone, loudly', async () => {
    const { database } = await freshDatabase();
    const one = version(1);
    const old = await runSagas({ database, definitions: [one], instance: 'old' });
    await old.drain?.();
    const { id } = await database.transaction((tx) => old.start(tx, one, {}));
    await database.query(
      `insert into saga_entry (saga_id, pos, kind, step) values ($1, 0, 'done', 'another')`,
      [id],
    );
    const lines: string[] = [];
    const young = await runSagas({ database, definitions: [one], instance: 'young', lines });
    await expect.poll(() => lines.join()).toContain('without a new version');
    const killed = young.operate(id, { kind: 'kill' }, { actor: 'ada', reason: 'cannot go on' });
    expect(await killed).toBe('killed');
  });

  it('are refused as a set where two are the same, or one is empty', async () => {
    const { database } = await freshDatabase();
    const empty = defineSaga({ name: 'empty', version: 1, input: z.object({}) });
    await expect(runSagas({ database, definitions: [version(1), version(1)] })).rejects.toThrow(
      'one name and version',
    );
    await expect(runSagas({ database, definitions: [empty] })).rejects.toThrow('no steps');
  });

  it('must be those of the process to be started', async () => {
    const { database } = await freshDatabase();
    const sagas = await runSagas({ database, definitions: [version(1)] });
    await expect(sagas.startNow(version(2), {})).rejects.toThrow('not among the definitions');
  });
});

describe('age', () => {
  it('parks a saga whose steps participants may have forgotten', async () => {
    const { database } = await freshDatabase();
    const order = orderSaga(database);
    const old = await runSagas({ database, definitions: [order], instance: 'old' });
    await old.drain?.();
    const { id } = await database.transaction((tx) => old.start(tx, order, { user: 'u1' }));
    await database.query(`update saga set created_at = now() - interval '91 days' where id = $1`, [id]);
    const young = await runSagas({ database, definitions: [order], instance: 'young' });
    await expect.poll(async () => (await young.inspect(id)).row.state).toBe('parked');
    const retried = young.operate(id, { kind: 'retry' }, { actor: 'ada', reason: 'go on' });
    await expect(retried).rejects.toMatchObject({ code: 'saga_state' });
    expect(await effectsOf(database, id)).toEqual([]);
    await expire(database, id);
  });

  it('has sagas forgotten a month after their end, with their journals, and no others', async () => {
    const { database } = await freshDatabase();
    const order = orderSaga(database);
    const sagas = await runSagas({ database, definitions: [order] });
    const ended = await sagas.startNow(order, { user: 'u1' });
    const recent = await sagas.startNow(order, { user: 'u2' });
    await Promise.all([ended, recent].map(({ settled }) => settled(soon())));
    await database.query(
      `update saga set created_at = now() - interval '40 days', ended_at = now() - interval '31 days' where id = $1`,
      [ended.id],
    );
    const again = await runSagas({ database, definitions: [order], instance: 'again' });
    await expect.poll(async () => (await again.list({ limit: 10 })).map(({ id }) => id)).toEqual([recent.id]);
    const left = await database.query('select distinct saga_id from saga_entry');
    expect(left).toEqual([{ saga_id: recent.id }]);
  });
});
