import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineSaga } from '../src/index.ts';
import { effectsOf, freshDatabase, runSagas, soon } from './fixture.ts';
import { orderSaga } from './order-saga.ts';

describe('a saga started in the transaction of a caller', () => {
  it('runs when that commits, and never existed when it is rolled back', async () => {
    const { database } = await freshDatabase();
    const order = orderSaga(database);
    const sagas = await runSagas({ database, definitions: [order] });
    const ids: string[] = [];
    const failed = database.transaction(async (tx) => {
      ids.push((await sagas.start(tx, order, { user: 'u1' })).id);
      throw new Error('rolled back');
    });
    await expect(failed).rejects.toThrow('rolled back');
    const started = await database.transaction((tx) => sagas.start(tx, order, { user: 'u2' }));
    sagas.wake();
    expect(await started.settled(soon())).toMatchObject({ state: 'done' });
    await expect(sagas.inspect(ids[0] ?? '')).rejects.toMatchObject({ code: 'not_found' });
    expect(await sagas.list({ limit: 10 })).toHaveLength(1);
  });

  it('is found without being told of', async () => {
    const { database } = await freshDatabase();
    const order = orderSaga(database);
    const sagas = await runSagas({ database, definitions: [order] });
    const started = await database.transaction((tx) => sagas.start(tx, order, { user: 'u1' }));
    expect(await started.settled(soon())).toMatchObject({ state: 'done' });
  });
});

describe('a saga started with a key', () => {
  it('is the same one when it is started again, at once or later, here or in a transaction', async () => {
    const { database } = await freshDatabase();
    const order = orderSaga(database);
    const sagas = await runSagas({ database, definitions: [order] });
    const again = () => sagas.startNow(order, { user: 'u1' }, { key: 'k' });
    const first = await again();
    const all = await Promise.all([again(), again()]);
    await first.settled(soon());
    const last = await database.transaction((tx) => sagas.start(tx, order, { user: 'u1' }, { key: 'k' }));
    expect(new Set([first, ...all, last].map(({ id }) => id)).size).toBe(1);
    expect(await last.settled(soon())).toMatchObject({ state: 'done' });
    expect(await effectsOf(database, first.id)).toHaveLength(4);
  });

  it('is refused when the key was used with another input', async () => {
    const { database } = await freshDatabase();
    const order = orderSaga(database);
    const sagas = await runSagas({ database, definitions: [order] });
    await sagas.startNow(order, { user: 'u1' }, { key: 'k' });
    const other = sagas.startNow(order, { user: 'u2' }, { key: 'k' });
    await expect(other).rejects.toMatchObject({ code: 'idempotency_mismatch' });
  });
});

describe('what a saga is started with', () => {
  it('is refused with the field when it does not fit', async () => {
    const { database } = await freshDatabase();
    const order = orderSaga(database);
    const sagas = await runSagas({ database, definitions: [order] });
    const wrong = sagas.startNow(order, { user: 7 as unknown as string });
    await expect(wrong).rejects.toMatchObject({ code: 'invalid_request', errors: [{ path: 'user' }] });
    const unkeyed = sagas.startNow(order, { user: 'u' }, { key: '' });
    await expect(unkeyed).rejects.toMatchObject({ code: 'invalid_request' });
  });

  it('is kept without the fields its schema does not name', async () => {
    const { database } = await freshDatabase();
    const order = orderSaga(database);
    const sagas = await runSagas({ database, definitions: [order] });
    const input = { user: 'u1', password: 'hunter2' };
    const { id } = await sagas.startNow(order, input);
    expect((await sagas.inspect(id)).row.input).toBe('{"user":"u1"}');
  });

  it('is refused when it is too large, and so is what a step gives', async () => {
    const { database } = await freshDatabase();
    const text = z.object({ text: z.string() });
    const echo = defineSaga({ name: 'echo', version: 1, input: text }).compensatable('say', {
      output: text,
      retry: { attempts: 1 },
      action: async ({ input }) => ({ text: `${input.text}${input.text}` }),
      compensate: async () => {},
    });
    const sagas = await runSagas({ database, definitions: [echo] });
    const large = sagas.startNow(echo, { text: '€'.repeat(22_000) });
    await expect(large).rejects.toMatchObject({ code: 'too_large' });
    const started = await sagas.startNow(echo, { text: '€'.repeat(11_000) });
    expect(await started.settled(soon())).toMatchObject({
      state: 'compensated',
      failure: { code: 'too_large' },
    });
  });
});

describe('who waits for the end', () => {
  it('hears of it although another process works on the saga', async () => {
    const { database } = await freshDatabase();
    const order = orderSaga(database);
    const worker = await runSagas({ database, definitions: [order], instance: 'worker' });
    const other = await runSagas({ database, definitions: [order], instance: 'other' });
    const { id } = await worker.startNow(order, { user: 'u1' });
    const settled = await other.settled(id, soon());
    expect(settled).toMatchObject({ state: 'done', results: { charge: { id: 'charge-1' } } });
  });

  it('stops waiting when it likes, and the saga does not', async () => {
    const { database } = await freshDatabase();
    const go = Promise.withResolvers<void>();
    const order = orderSaga(database, { before: () => go.promise });
    const sagas = await runSagas({ database, definitions: [order] });
    const started = await sagas.startNow(order, { user: 'u1' });
    const leaving = new AbortController();
    const waiting = started.settled({ signal: leaving.signal });
    leaving.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    go.resolve();
    expect(await started.settled(soon())).toMatchObject({ state: 'done' });
  });

  it('is told that there is no such saga', async () => {
    const { database } = await freshDatabase();
    const sagas = await runSagas({ database, definitions: [] });
    const unknown = sagas.settled('0199c2f0-7d3a-7000-8000-0123456789ab', soon());
    await expect(unknown).rejects.toMatchObject({ code: 'not_found' });
    await expect(sagas.settled('nonsense', soon())).rejects.toMatchObject({ code: 'not_found' });
  });
});
