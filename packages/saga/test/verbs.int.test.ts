import { AppError } from '@skein/contracts';
import { describe, expect, it } from 'vitest';
import { effectsOf, freshDatabase, runSagas, soon } from './fixture.ts';
import { orderSaga } from './order-saga.ts';

const by = { actor: 'ada@example.org', reason: 'the customer called' };
const away = new AppError('unavailable', 'The participant is away');

/** A saga whose `step` fails until it is told not to, with what it left. */
const failingAt = async (broken: string, parks: boolean) => {
  const { database } = await freshDatabase();
  const state = { broken };
  const order = orderSaga(database, {
    before: async (step) => {
      if (step === state.broken) throw away;
    },
  });
  const definition = parks
    ? { ...order, steps: order.steps.map((step) => ({ ...step, onGivenUp: 'park' as const })) }
    : order;
  const sagas = await runSagas({ database, definitions: [definition] });
  const started = await sagas.startNow(definition, { user: 'u1' });
  const stateNow = async () => (await sagas.inspect(started.id)).row.state;
  await expect.poll(stateNow).toBe('parked');
  return {
    sagas,
    id: started.id,
    mend: () => {
      state.broken = '';
    },
    settled: () => started.settled(soon()),
    effects: () => effectsOf(database, started.id),
  };
};

/** A saga that stays in its `step` until the signal aborts. */
const hangingIn = async (hanging: string) => {
  const { database } = await freshDatabase();
  const entered = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const order = orderSaga(database, {
    after: async (step) => {
      if (step !== hanging) return;
      entered.resolve();
      await go.promise;
    },
  });
  const sagas = await runSagas({ database, definitions: [order] });
  const started = await sagas.startNow(order, { user: 'u1' });
  await entered.promise;
  return {
    sagas,
    id: started.id,
    go: () => go.resolve(),
    settled: () => started.settled(soon()),
    effects: () => effectsOf(database, started.id),
  };
};

describe('cancel', () => {
  it('takes back what was done, the step under way too', async () => {
    const { sagas, id, go, settled, effects } = await hangingIn('hold');
    expect(await sagas.operate(id, { kind: 'cancel' }, by)).toBe('compensating');
    expect(await settled()).toEqual({
      state: 'compensated',
      failure: { code: 'cancelled', detail: by.reason },
    });
    go();
    expect(await effects()).toEqual(['reserve do', 'hold do', 'hold undo', 'reserve undo']);
  });

  it('is refused with the reason past the point of no return', async () => {
    const { sagas, id, go, settled, effects } = await hangingIn('charge');
    await expect(sagas.operate(id, { kind: 'cancel' }, by)).rejects.toMatchObject({
      code: 'saga_state',
      detail: 'The saga is past the point of no return: step charge may have happened',
    });
    go();
    expect(await settled()).toMatchObject({ state: 'done' });
    expect(await effects()).toHaveLength(4);
    await expect(sagas.operate(id, { kind: 'cancel' }, by)).rejects.toMatchObject({
      detail: 'The saga has ended: done',
    });
  });

  it('and the step that ends at the same moment are never both believed', async () => {
    const { database } = await freshDatabase();
    const order = orderSaga(database);
    const sagas = await runSagas({ database, definitions: [order] });
    const outcomes = await Promise.all(
      Array.from({ length: 30 }, async () => {
        const started = await sagas.startNow(order, { user: 'u1' });
        const cancelled = await sagas
          .operate(started.id, { kind: 'cancel' }, by)
          .then(() => true)
          .catch((error: AppError) => {
            expect(error.code).toBe('saga_state');
            return false;
          });
        const { state } = await started.settled(soon());
        const effects = await effectsOf(database, started.id);
        expect(state).toBe(cancelled ? 'compensated' : 'done');
        const undone = effects.filter((what) => what.endsWith('undo')).map((what) => what.split(' ')[0]);
        const acted = effects.filter((what) => what.endsWith(' do')).map((what) => what.split(' ')[0]);
        if (cancelled) expect(undone.toSorted()).toEqual(acted.toSorted());
        else expect(effects).toHaveLength(4);
        return state;
      }),
    );
    expect(outcomes).toHaveLength(30);
  });
});

describe('a parked saga', () => {
  it('goes on from its step when that is tried again', async () => {
    const { sagas, id, mend, settled, effects } = await failingAt('hold', true);
    mend();
    expect(await sagas.operate(id, { kind: 'retry' }, by)).toBe('running');
    expect(await settled()).toMatchObject({ state: 'done' });
    expect(await effects()).toEqual(['reserve do', 'hold do', 'charge do', 'ship do']);
  });

  it('is parked again when it still fails', async () => {
    const { sagas, id } = await failingAt('hold', true);
    await sagas.operate(id, { kind: 'retry' }, by);
    await expect
      .poll(async () => (await sagas.inspect(id)).entries.filter(({ kind }) => kind === 'parked').length)
      .toBe(2);
  });

  it('goes on with the value an operator gives, if it is one the step could give', async () => {
    const { sagas, id, settled, effects } = await failingAt('hold', true);
    const wrong = sagas.operate(id, { kind: 'skip', value: { id: 7 } }, by);
    await expect(wrong).rejects.toMatchObject({ code: 'invalid_request', errors: [{ path: 'value.id' }] });
    await sagas.operate(id, { kind: 'skip', value: { id: 'by hand' } }, by);
    expect(await settled()).toMatchObject({ state: 'done', results: { hold: { id: 'by hand' } } });
    expect(await effects()).toEqual(['reserve do', 'charge do', 'ship do']);
  });

  it('is taken back when an operator says so', async () => {
    const { sagas, id, settled, effects } = await failingAt('hold', true);
    await sagas.operate(id, { kind: 'compensate' }, by);
    expect(await settled()).toMatchObject({ state: 'compensated' });
    expect(await effects()).toEqual(['reserve do', 'reserve undo']);
  });

  it('at its pivot is taken back only on the word of an operator that the pivot has not happened', async () => {
    const { sagas, id, settled, effects } = await failingAt('charge', false);
    await expect(sagas.operate(id, { kind: 'cancel' }, by)).rejects.toMatchObject({ code: 'saga_state' });
    await sagas.operate(id, { kind: 'compensate' }, by);
    expect(await settled()).toMatchObject({ state: 'compensated' });
    expect(await effects()).toEqual(['reserve do', 'hold do', 'hold undo', 'reserve undo']);
  });

  it('behind its pivot is not taken back', async () => {
    const { sagas, id } = await failingAt('ship', false);
    await expect(sagas.operate(id, { kind: 'compensate' }, by)).rejects.toMatchObject({
      code: 'saga_state',
      detail: 'The saga is past the point of no return',
    });
  });

  it('is done as it stands when an operator declares it', async () => {
    const { sagas, id, settled, effects } = await failingAt('ship', false);
    expect(await sagas.operate(id, { kind: 'force_complete' }, by)).toBe('done');
    const settledAs = await settled();
    expect(settledAs).toMatchObject({ state: 'done', results: { charge: { id: 'charge-1' } } });
    expect(await effects()).toEqual(['reserve do', 'hold do', 'charge do']);
  });
});

describe('a compensation that keeps failing', () => {
  it('is parked by an operator, is not tried meanwhile, and goes on when somebody says so', async () => {
    const { database } = await freshDatabase();
    let broken = true;
    let attempts = 0;
    const order = orderSaga(database, {
      before: async (step) => {
        if (step === 'charge') throw new AppError('forbidden');
        if (step !== 'hold undo') return;
        attempts += 1;
        if (broken) throw away;
      },
    });
    const sagas = await runSagas({ database, definitions: [order] });
    const { id, settled } = await sagas.startNow(order, { user: 'u1' });
    // Between two attempts; during one it is refused.
    await expect
      .poll(() => sagas.operate(id, { kind: 'park' }, by).catch((error: AppError) => error.code))
      .toBe('parked');
    const parkedAfter = attempts;
    sagas.wake();
    const { row } = await sagas.inspect(id);
    expect(row).toMatchObject({ state: 'parked', dueAt: null, endedAt: null });
    expect(attempts).toBe(parkedAfter);
    broken = false;
    expect(await sagas.operate(id, { kind: 'retry' }, by)).toBe('compensating');
    expect(await settled(soon())).toMatchObject({ state: 'compensated' });
    expect(await effectsOf(database, id)).toEqual(['reserve do', 'hold do', 'hold undo', 'reserve undo']);
  });
});

describe('kill', () => {
  it('ends a saga as it stands, and its owner writes no more', async () => {
    const { sagas, id, go, settled, effects } = await hangingIn('hold');
    expect(await sagas.operate(id, { kind: 'kill' }, by)).toBe('killed');
    expect(await settled()).toEqual({ state: 'killed', failure: { code: 'killed', detail: by.reason } });
    go();
    const { entries } = await sagas.inspect(id);
    expect(entries.map(({ kind, step }) => `${kind} ${step}`)).toEqual(['done reserve', 'killed hold']);
    expect(await effects()).toEqual(['reserve do', 'hold do']);
  });
});

describe('every verb', () => {
  it('leaves who and why in the journal', async () => {
    const { sagas, id, mend, settled } = await failingAt('hold', true);
    mend();
    await sagas.operate(id, { kind: 'retry' }, by);
    await settled();
    const { entries } = await sagas.inspect(id);
    expect(entries.find(({ kind }) => kind === 'retried')).toMatchObject(by);
  });

  it('wants to know who and why', async () => {
    const { sagas, id } = await failingAt('hold', true);
    for (const operator of [
      { actor: '', reason: 'x' },
      { actor: 'ada', reason: ' ' },
      { actor: 'ada', reason: 'x'.repeat(501) },
    ])
      await expect(sagas.operate(id, { kind: 'kill' }, operator)).rejects.toMatchObject({
        code: 'invalid_request',
      });
  });

  it('but kill and cancel leaves alone a saga that is getting on', async () => {
    const { sagas, id, go } = await hangingIn('hold');
    for (const kind of ['retry', 'skip', 'force_complete', 'compensate'] as const)
      await expect(sagas.operate(id, { kind }, by)).rejects.toMatchObject({ code: 'saga_state' });
    go();
  });

  it('says that there is no such saga', async () => {
    const { sagas } = await failingAt('hold', true);
    for (const id of ['nonsense', '0199c2f0-7d3a-7000-8000-0123456789ab'])
      await expect(sagas.operate(id, { kind: 'kill' }, by)).rejects.toMatchObject({ code: 'not_found' });
  });
});
