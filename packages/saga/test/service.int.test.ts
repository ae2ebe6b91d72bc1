import { AppError, sagaV1 } from '@skein/contracts';
import { identity, rootContext, rpcClient, rpcServer } from '@skein/rpc';
import { createMetrics } from '@skein/telemetry';
import { describe, expect, it, onTestFinished } from 'vitest';
import { sagaService } from '../src/index.ts';
import { freshDatabase, runSagas, soon } from './fixture.ts';
import { orderSaga } from './order-saga.ts';
import { logInto } from './tables.ts';

const secret = 'only-for-this-test-0123456789abcdef';

/** The service over real gRPC, called by `caller` for a person with these scopes. */
const serve = async () => {
  const { database } = await freshDatabase();
  const state = { broken: true };
  const order = orderSaga(database, {
    before: async (step) => {
      if (step === 'ship' && state.broken) throw new AppError('unavailable', 'The carrier is away');
    },
  });
  const sagas = await runSagas({ database, definitions: [order] });
  const shared = { host: '127.0.0.1', log: logInto(), metrics: createMetrics() };
  const server = rpcServer({
    ...shared,
    service: 'orders',
    port: 0,
    identity: identity({ service: 'orders', secret }),
    implementations: [sagaService(sagas)],
  });
  await server.run();
  onTestFinished(() => server.stop());
  const clientOf = async (caller: string) => {
    const client = rpcClient(sagaV1.SagaServiceService, {
      ...shared,
      service: 'orders',
      target: `ipv4:127.0.0.1:${server.port}`,
      identity: identity({ service: caller, secret }),
    });
    await client.run();
    onTestFinished(() => client.stop());
    return client;
  };
  return { sagas, order, state, clientOf, client: await clientOf('gateway') };
};

const as = (...scopes: string[]) => rootContext({ timeoutMs: 10_000, actor: { userId: 'ada', scopes } });
const operator = () => as('session', 'operator');

describe('skein.saga.v1', () => {
  it('shows a saga that waits for an operator, lets them act, and shows how it goes on', async () => {
    const { sagas, order, state, client } = await serve();
    const { id } = await sagas.startNow(order, { user: 'u1' }, { subject: 'u1' });
    await expect
      .poll(
        async () =>
          (
            await client.listSagas(
              { states: ['parked'], name: '', subject: 'u1', limit: 0, cursor: '' },
              operator(),
            )
          ).items,
      )
      .toMatchObject([
        { id, name: 'order', failureCode: 'unavailable', failureDetail: 'The carrier is away' },
      ]);
    const watched: string[] = [];
    const watching = (async () => {
      for await (const { saga } of client.watchSaga({ id }, operator())) watched.push(saga?.state ?? '');
    })();
    await expect.poll(() => watched).toEqual(['parked']);
    state.broken = false;
    const answer = await client.operateSaga(
      { id, verb: 'retry', reason: 'the carrier is back', valueJson: '' },
      operator(),
    );
    expect(answer.state).toBe('running');
    await sagas.settled(id, soon());
    await watching;
    expect(watched.at(-1)).toBe('done');
    const { saga, entries } = await client.getSaga({ id }, operator());
    expect(saga).toMatchObject({ state: 'done', subject: 'u1', inputJson: '{"user":"u1"}' });
    expect(entries.map(({ kind, step }) => `${kind} ${step}`)).toEqual([
      'done reserve',
      'done hold',
      'done charge',
      'parked ship',
      'retried ship',
      'done ship',
    ]);
    expect(entries[4]).toMatchObject({ actor: 'ada', reason: 'the carrier is back' });
  });

  it('lists in pages, newest first', async () => {
    const { sagas, order, state, client } = await serve();
    state.broken = false;
    const ids: string[] = [];
    for (let n = 0; n < 5; n += 1) ids.push((await sagas.startNow(order, { user: `u${n}` })).id);
    const page = (cursor: string) =>
      client.listSagas({ states: [], name: 'order', subject: '', limit: 2, cursor }, operator());
    const seen: string[] = [];
    let cursor = '';
    do {
      const { items, next } = await page(cursor);
      seen.push(...items.map(({ id }) => id));
      cursor = next;
    } while (cursor !== '');
    expect(seen).toEqual(ids.toReversed());
  });

  it('lets a person watch five of their own at once, and others beside them', async () => {
    const { sagas, order, client } = await serve();
    const watch = async (person: string, leave: AbortSignal) => {
      const { id } = await sagas.startNow(order, { user: 'u1' }, { subject: person });
      const ctx = rootContext({
        ...{ timeoutMs: 10_000, signal: leave },
        actor: { userId: person, scopes: ['session'] },
      });
      const stream = client.watchOwnSaga({ id }, ctx)[Symbol.asyncIterator]();
      return (await stream.next()).value;
    };
    const leave = new AbortController();
    for (let n = 0; n < 5; n += 1) expect(await watch('ada', leave.signal)).toBeDefined();
    const { signal } = new AbortController();
    await expect(watch('ada', signal)).rejects.toMatchObject({ code: 'overloaded' });
    expect(await watch('bob', signal)).toBeDefined();
    leave.abort();
    await expect.poll(() => watch('ada', signal).catch(() => undefined)).toBeDefined();
  });

  it('is for operators, through the gateway', async () => {
    const { client, clientOf } = await serve();
    const id = '0199c2f0-7d3a-7000-8000-0123456789ab';
    await expect(client.getSaga({ id }, as('session'))).rejects.toMatchObject({ code: 'forbidden' });
    await expect(client.getSaga({ id }, rootContext({ timeoutMs: 5_000 }))).rejects.toMatchObject({
      code: 'unauthenticated',
    });
    const agent = await clientOf('agent');
    await expect(agent.getSaga({ id }, operator())).rejects.toMatchObject({ code: 'forbidden' });
    const stream = client.watchSaga({ id }, as('session'))[Symbol.asyncIterator]();
    await expect(stream.next()).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('says what is wrong with a request', async () => {
    const { sagas, order, client } = await serve();
    const { id } = await sagas.startNow(order, { user: 'u1' });
    const list = { states: [], name: '', subject: '', limit: 0, cursor: '' };
    const operate = { id, verb: 'retry', reason: 'x', valueJson: '' };
    for (const [asked, path] of [
      [client.listSagas({ ...list, states: ['lost'] }, operator()), 'states'],
      [client.listSagas({ ...list, cursor: 'nonsense' }, operator()), 'cursor'],
      [client.listSagas({ ...list, limit: 201 }, operator()), 'limit'],
      [client.operateSaga({ ...operate, verb: 'explode' }, operator()), 'verb'],
      [client.operateSaga({ ...operate, reason: '' }, operator()), 'reason'],
      [client.operateSaga({ ...operate, verb: 'skip', valueJson: '{' }, operator()), 'value_json'],
    ] as const)
      await expect(asked).rejects.toMatchObject({ code: 'invalid_request', errors: [{ path }] });
    await expect(client.getSaga({ id: 'nonsense' }, operator())).rejects.toMatchObject({ code: 'not_found' });
  });
});
