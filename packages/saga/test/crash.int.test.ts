import type { Database } from '@skein/postgres';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineSaga, participant } from '../src/index.ts';
import { crashEverywhere } from '../src/testing.ts';
import { effectsOf, freshDatabase } from './fixture.ts';
import { orderSaga } from './order-saga.ts';

const observeOrder = (database: Database) => async (_: unknown, id: string) => {
  const effects = await effectsOf(database, id);
  return Object.fromEntries(effects.map((what) => [what, effects.filter((one) => one === what).length]));
};

describe('crashEverywhere', () => {
  it('finds every effect once whichever write of the orchestrator it kills it at, or takes its lease at', async () => {
    const { database } = await freshDatabase();
    const report = await crashEverywhere({
      database,
      definition: orderSaga(database),
      input: () => ({ user: 'u1' }),
      observe: observeOrder(database),
    });
    expect(report.done).toEqual({ 'reserve do': 1, 'hold do': 1, 'charge do': 1, 'ship do': 1 });
    const both = { 'reserve do': 1, 'hold do': 1, 'hold undo': 1, 'reserve undo': 1 };
    expect(report.compensated).toEqual({
      'refused at reserve': {},
      'refused at hold': { 'reserve do': 1, 'reserve undo': 1 },
      'refused at charge': both,
      'given up at reserve': { 'reserve do': 1, 'reserve undo': 1 },
      'given up at hold': both,
    });
    // The start, and one write for each step done or taken back: six for the longest way.
    expect(report.points).toBe(6);
    expect(report.crashes).toBeGreaterThan(70);
  }, 120_000);

  it('does the same for a saga with a lock, and leaves nobody in line', async () => {
    const { database } = await freshDatabase();
    const report = await crashEverywhere({
      database,
      definition: orderSaga(database),
      input: () => ({ user: 'u1', lock: 'user:u1' }),
      observe: observeOrder(database),
    });
    expect(report.done).toEqual({ 'reserve do': 1, 'hold do': 1, 'charge do': 1, 'ship do': 1 });
    expect(await database.query('select 1 from saga_lock')).toEqual([]);
  }, 120_000);

  const note = (database: Database, saga: string, step: string) =>
    database.query(`insert into effect (saga, step, what) values ($1, $2, 'do')`, [saga, step]);

  it('notices a step that does its work again when it is asked again', async () => {
    const { database } = await freshDatabase();
    const careless = defineSaga({ name: 'careless', version: 1, input: z.object({}) })
      .compensatable('reserve', {
        action: (ctx) => database.transaction((tx) => participant.once(tx, ctx.key, async () => {})),
        compensate: async () => {},
      })
      .retriable('ship', { action: (ctx) => note(database, ctx.sagaId, 'ship') });
    const testing = crashEverywhere({
      database,
      definition: careless,
      input: () => ({}),
      observe: observeOrder(database),
    });
    await expect(testing).rejects.toThrow(/straight through, (killed|lease lost)[\s\S]*'ship do': 2/);
  }, 60_000);

  it('notices a compensation that undoes what never happened', async () => {
    const { database } = await freshDatabase();
    const careless = defineSaga({ name: 'careless', version: 1, input: z.object({}) })
      .compensatable('reserve', {
        refuseOn: ['not_found'],
        action: (ctx) =>
          database.transaction((tx) =>
            participant.once(tx, ctx.key, async () => {
              await tx.query(`insert into effect (saga, step, what) values ($1, 'reserve', 'do')`, [
                ctx.sagaId,
              ]);
            }),
          ),
        compensate: async (ctx) => {
          await database.query(`insert into effect (saga, step, what) values ($1, 'reserve', 'undo')`, [
            ctx.sagaId,
          ]);
        },
      })
      .pivot('charge', { action: async () => {} });
    const testing = crashEverywhere({
      database,
      definition: careless,
      input: () => ({}),
      observe: observeOrder(database),
    });
    await expect(testing).rejects.toThrow(
      /refused at reserve, (killed|lease lost)[\s\S]*'reserve undo': 1[\s\S]*without it\s+\{\}/,
    );
  }, 60_000);
});
