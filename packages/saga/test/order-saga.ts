import type { Database } from '@skein/postgres';
import { z } from 'zod';
import { defineSaga, participant } from '../src/index.ts';

/** What can be made to happen in the steps. */
export interface OrderHooks {
  /** After the effect of a step has been committed; may throw or never return. */
  readonly after?: (step: string, attempt: number, sagaId: string) => Promise<void>;
  /** Before a step does anything. */
  readonly before?: (step: string, attempt: number) => Promise<void>;
}

/** A saga with one step of each kind, whose participants are in the database of the test. */
export const orderSaga = (database: Database, hooks: OrderHooks = {}) => {
  const effect = async (
    step: string,
    what: 'do' | 'undo',
    ctx: { readonly sagaId: string; readonly key: string; readonly attempt: number },
  ): Promise<{ id: string }> => {
    const name = what === 'do' ? step : `${step} undo`;
    await hooks.before?.(name, ctx.attempt);
    const result = await database.transaction(async (tx) => {
      const note = () =>
        tx.query('insert into effect (saga, step, what) values ($1, $2, $3)', [ctx.sagaId, step, what]);
      if (what === 'do')
        return participant.once(tx, ctx.key, async () => {
          await note();
          return { id: `${step}-1` };
        });
      await participant.undo(tx, ctx.key, async () => void (await note()));
      return { id: '' };
    });
    await hooks.after?.(name, ctx.attempt, ctx.sagaId);
    return result;
  };
  const id = z.object({ id: z.string() });
  const retry = { immediate: 3, attempts: 5, baseMs: 10, capMs: 50 };
  return defineSaga({
    name: 'order',
    version: 1,
    input: z.object({ user: z.string(), lock: z.string().optional() }),
    locks: ({ lock }) => (lock === undefined ? [] : [lock]),
  })
    .compensatable('reserve', {
      output: id,
      retry,
      timeoutMs: 2_000,
      refuseOn: ['not_found'],
      action: (ctx) => effect('reserve', 'do', ctx),
      compensate: async (ctx) => void (await effect('reserve', 'undo', ctx)),
    })
    .compensatable('hold', {
      output: id,
      retry,
      timeoutMs: 2_000,
      refuseOn: ['not_found'],
      action: (ctx) => effect('hold', 'do', ctx),
      compensate: async (ctx) => void (await effect('hold', 'undo', ctx)),
    })
    .pivot('charge', {
      output: id,
      retry,
      timeoutMs: 2_000,
      refuseOn: ['forbidden'],
      action: (ctx) => effect('charge', 'do', ctx),
    })
    .retriable('ship', {
      retry,
      timeoutMs: 2_000,
      action: async (ctx) => void (await effect('ship', 'do', ctx)),
    });
};
