import { AppError } from '@skein/contracts';
import { describe, expect, it } from 'vitest';
import { effectsOf, freshDatabase, runSagas, soon } from './fixture.ts';
import { type OrderHooks, orderSaga } from './order-saga.ts';

const run = async (hooks: OrderHooks) => {
  const { database } = await freshDatabase();
  const order = orderSaga(database, hooks);
  const sagas = await runSagas({ database, definitions: [order] });
  const { id, settled } = await sagas.startNow(order, { user: 'u1' });
  return { database, sagas, id, order, settled: () => settled(soon()) };
};
const away = new AppError('unavailable', 'The participant is away');

describe('a step that fails', () => {
  it('is taken back with all before it, in reverse, when it is refused', async () => {
    const { database, id, settled } = await run({
      before: async (step) => {
        if (step === 'charge') throw new AppError('forbidden', 'No money');
      },
    });
    expect(await settled()).toEqual({
      state: 'compensated',
      failure: { code: 'forbidden', detail: 'No money' },
    });
    expect(await effectsOf(database, id)).toEqual(['reserve do', 'hold do', 'hold undo', 'reserve undo']);
  });

  it('is tried again with the same key when its answer was lost, and happens once', async () => {
    const { database, id, settled } = await run({
      after: async (_, attempt) => {
        if (attempt === 1) throw away;
      },
    });
    expect(await settled()).toMatchObject({ state: 'done', results: { hold: { id: 'hold-1' } } });
    expect(await effectsOf(database, id)).toEqual(['reserve do', 'hold do', 'charge do', 'ship do']);
  });

  it('waits between later attempts without an owner, and goes on from there', async () => {
    const { sagas, id, settled } = await run({
      before: async (step, attempt) => {
        if (step === 'hold' && attempt <= 4) throw away;
      },
    });
    expect(await settled()).toMatchObject({ state: 'done' });
    const { entries } = await sagas.inspect(id);
    expect(entries.map(({ step, attempts }) => `${step} ${attempts}`)).toEqual([
      'reserve 1',
      'hold 5',
      'charge 1',
      'ship 1',
    ]);
  });

  it('that nobody knows the outcome of is compensated too when its attempts are used up', async () => {
    const { database, id, settled } = await run({
      after: async (step) => {
        if (step === 'hold') throw away;
      },
    });
    expect(await settled()).toMatchObject({ state: 'compensated', failure: { code: 'unavailable' } });
    expect(await effectsOf(database, id)).toEqual(['reserve do', 'hold do', 'hold undo', 'reserve undo']);
  });

  it('leaves a tombstone where it never happened', async () => {
    const { database, id, settled } = await run({
      before: async (step) => {
        if (step === 'hold') throw away;
      },
    });
    expect(await settled()).toMatchObject({ state: 'compensated' });
    expect(await effectsOf(database, id)).toEqual(['reserve do', 'reserve undo']);
    const tombs = await database.query('select key from saga_step_seen where undone_at is not null');
    expect(tombs).toContainEqual({ key: `${id}:hold` });
  });

  it('is parked behind the point of no return, and goes on when somebody says so', async () => {
    let broken = true;
    const { database, sagas, id, settled } = await run({
      before: async (step) => {
        if (step === 'ship' && broken) throw away;
      },
    });
    await expect.poll(async () => (await sagas.inspect(id)).row.state).toBe('parked');
    broken = false;
    await sagas.operate(id, { kind: 'retry' }, { actor: 'ada', reason: 'the carrier is back' });
    expect(await settled()).toMatchObject({ state: 'done' });
    expect(await effectsOf(database, id)).toEqual(['reserve do', 'hold do', 'charge do', 'ship do']);
  });

  it('as a compensation is tried until it works, and says so on the way', async () => {
    let failures = 0;
    const { database, sagas, id, settled } = await run({
      before: async (step) => {
        if (step === 'charge') throw new AppError('forbidden');
        if (step === 'hold undo' && failures < 12) {
          failures += 1;
          throw away;
        }
      },
    });
    expect(await settled()).toMatchObject({ state: 'compensated' });
    expect(failures).toBe(12);
    expect(await effectsOf(database, id)).toEqual(['reserve do', 'hold do', 'hold undo', 'reserve undo']);
    expect(sagas.metrics.print()).toMatch(
      /attempts_total\{saga="order",step="hold",direction="undo",outcome="unknown"\} 12/,
    );
  });

  it('by a bug is told by its kind only: what it says may be a secret', async () => {
    const { sagas, id, settled } = await run({
      before: async (step) => {
        if (step === 'reserve') throw new TypeError('password=hunter2');
      },
    });
    expect(await settled()).toEqual({
      state: 'compensated',
      failure: { code: 'internal', detail: 'TypeError' },
    });
    expect(JSON.stringify(await sagas.inspect(id))).not.toContain('hunter2');
  });
});

describe('a step that takes too long', () => {
  it('is not known to have failed: it is asked again with the same key', async () => {
    const { database } = await freshDatabase();
    const keys: string[] = [];
    const bounds = [200, 15_000];
    const order = orderSaga(database);
    const [reserve, ...others] = order.steps;
    if (!reserve) throw new Error('no steps');
    const slow = {
      ...order,
      steps: [
        {
          ...reserve,
          // Asked as each attempt begins: it may change while the process runs.
          timeoutMs: () => bounds.shift() ?? 15_000,
          action: async (ctx: Parameters<typeof reserve.action>[0]) => {
            keys.push(ctx.key);
            const result = await reserve.action(ctx);
            // It happened, and nobody hears of it in time.
            if (ctx.attempt === 1)
              await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
            return result;
          },
        },
        ...others,
      ],
    };
    const sagas = await runSagas({ database, definitions: [slow] });
    const started = await sagas.startNow(slow, { user: 'u1' });
    expect(await started.settled(soon())).toMatchObject({ state: 'done' });
    expect(keys).toEqual([`${started.id}:reserve:do`, `${started.id}:reserve:do`]);
    expect(bounds).toEqual([]);
    expect(await effectsOf(database, started.id)).toEqual(['reserve do', 'hold do', 'charge do', 'ship do']);
  });

  it('because its participant never answers is taken back; what it answers when all is over changes nothing', async () => {
    const { database } = await freshDatabase();
    const order = orderSaga(database);
    const [reserve, hold, ...others] = order.steps;
    if (!reserve || !hold) throw new Error('no steps');
    const over = Promise.withResolvers<void>();
    const late: Promise<unknown>[] = [];
    const silent = {
      ...order,
      steps: [
        reserve,
        {
          ...hold,
          timeoutMs: 100,
          // It does not look at its signal either, and does its work at the very end.
          action: (ctx: Parameters<typeof hold.action>[0]) => {
            const answer = over.promise.then(() => hold.action(ctx));
            late.push(answer.catch((error: unknown) => error));
            return answer;
          },
        },
        ...others,
      ],
    };
    const sagas = await runSagas({ database, definitions: [silent] });
    const started = await sagas.startNow(silent, { user: 'u1' });
    expect(await started.settled(soon())).toMatchObject({ state: 'compensated' });
    expect(late).toHaveLength(5);
    over.resolve();
    for (const answer of await Promise.all(late)) expect(answer).toMatchObject({ code: 'step_undone' });
    expect((await sagas.inspect(started.id)).row.state).toBe('compensated');
    expect(await effectsOf(database, started.id)).toEqual(['reserve do', 'reserve undo']);
  });
});
