import { AppError, type sagaV1 } from '@skein/contracts';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { sagaRef } from '../src/http/routes/sagas.ts';
import { type FakeMesh, fakeMesh } from './fakes.ts';
import { problem, startGateway, type TestGateway } from './gateway.ts';

let mesh: FakeMesh;
let on: TestGateway;
let operator: string;
let person: string;
beforeAll(async () => {
  mesh = await fakeMesh();
  // The others have none, unless a test says otherwise.
  for (const script of Object.values(mesh.sagas)) script.listSagas = async () => ({ items: [], next: '' });
  on = await startGateway(mesh);
  operator = await on.apiToken('operator-1', 'operator');
  person = await on.login('somebody');
});
afterAll(async () => {
  await on.stop();
  await mesh.stop();
});

const uuid = '019c0000-0000-7000-8000-000000000001';
const ref = sagaRef('session-sync', uuid);
const saga: sagaV1.Saga = {
  ...{
    id: uuid,
    name: 'record-health-data',
    version: 1,
    state: 'parked',
    subject: 'u1',
    inputJson: '{"record":"r"}',
  },
  ...{ correlationId: 'c', createdAtMs: 1_769_860_800_000, endedAtMs: 0, dueAtMs: 0, owner: '', attempts: 2 },
  ...{ failureCode: 'unavailable', failureDetail: 'away' },
};
const scriptOf = (service: string) => {
  const script = mesh.sagas[service];
  if (!script) throw new Error(`no ${service}`);
  return script;
};

describe('sagas', () => {
  it('are listed for operators, with what was asked for', async () => {
    const asked: unknown[] = [];
    scriptOf('session-sync').listSagas = async (request) => {
      asked.push(request);
      return { items: [saga], next: '' };
    };
    const { status, body } = await on.json('GET', '/v1/admin/sagas?state=parked&subject=u1&limit=5', {
      token: operator,
    });
    expect(status).toBe(200);
    expect(asked[0]).toEqual({ states: ['parked'], name: '', subject: 'u1', limit: 5, cursor: '' });
    expect((body as { items: unknown[] }).items[0]).toEqual({
      ...{ id: ref, service: 'session-sync', name: 'record-health-data', version: 1, state: 'parked' },
      ...{ subject: 'u1', input: { record: 'r' }, correlationId: 'c', attempts: 2 },
      ...{ createdAt: '2026-01-31T12:00:00.000Z', failure: { code: 'unavailable', detail: 'away' } },
    });
  });

  it('are gathered over the services, page after page, also past one that is away', async () => {
    type Listing = NonNullable<ReturnType<typeof scriptOf>['listSagas']>;
    const ids = (service: string) => [1, 2, 3].map((n) => `${service}-${n}`);
    const has = (service: string): Listing => {
      const all = ids(service);
      return async ({ limit, cursor }) => {
        const from = cursor === '' ? 0 : all.indexOf(cursor) + 1;
        const items = all.slice(from, from + limit).map((id) => ({ ...saga, id }));
        return { items, next: items.length < limit ? '' : (items.at(-1)?.id ?? '') };
      };
    };
    const listed = has('agent');
    const before = scriptOf('session-sync').listSagas;
    onTestFinished(() => {
      scriptOf('agent').listSagas = async () => ({ items: [], next: '' });
      if (before) scriptOf('session-sync').listSagas = before;
    });
    scriptOf('agent').listSagas = listed;
    scriptOf('session-sync').listSagas = has('session-sync');
    const pages = async (query: string) => {
      const seen: string[][] = [];
      for (let cursor = ''; ; ) {
        const { status, body } = await on.json('GET', `/v1/admin/sagas?limit=2${query}${cursor}`, {
          token: operator,
        });
        const { items = [], next } = body as { items?: { id: string }[]; next?: string };
        seen.push(status === 200 ? items.map(({ id }) => id) : [String(status)]);
        if (next === undefined) return seen;
        cursor = `&cursor=${next}`;
      }
    };
    const refs = (service: string) => ids(service).map((id) => sagaRef(service, id));
    expect((await pages('')).flat()).toEqual([...refs('agent'), ...refs('session-sync')]);
    expect((await pages('&service=agent')).flat()).toEqual(refs('agent'));
    scriptOf('session-sync').listSagas = () => Promise.reject(new AppError('not_implemented'));
    expect(await pages('')).toEqual([refs('agent').slice(0, 2), refs('agent').slice(2), ['501']]);
  });

  it('do what an operator orders, in their name', async () => {
    const orders: unknown[] = [];
    scriptOf('session-sync').operateSaga = async (request, { actor }) => {
      orders.push([request, actor?.userId]);
      return { state: 'running' };
    };
    for (const [verb, value] of [
      ['retry', undefined],
      ['force-complete', undefined],
      ['skip', { id: 1 }],
    ] as const)
      expect(
        await on.json('POST', `/v1/admin/sagas/${ref}/${verb}`, {
          token: operator,
          body: { reason: 'mended', ...(value ? { value } : {}) },
        }),
      ).toEqual({ status: 200, body: { state: 'running' } });
    const order = { id: uuid, reason: 'mended' };
    expect(orders).toEqual([
      [{ ...order, verb: 'retry', valueJson: '' }, 'operator-1'],
      [{ ...order, verb: 'force_complete', valueJson: '' }, 'operator-1'],
      [{ ...order, verb: 'skip', valueJson: '{"id":1}' }, 'operator-1'],
    ]);
  });

  it('are watched for a while, and that ends without an error', async () => {
    const short = await startGateway(mesh, { ANSWER_TIMEOUT_MS: '1000', CALL_TIMEOUT_MS: '1000' });
    onTestFinished(() => short.stop());
    const own = {
      ...{ id: uuid, name: 'record-health-data', state: 'running', createdAtMs: 1, endedAtMs: 0 },
      ...{ failureCode: '', failureDetail: '', steps: [] },
    };
    scriptOf('session-sync').getOwnSaga = async () => ({ saga: own });
    scriptOf('session-sync').watchOwnSaga = async function* (_, { signal }) {
      yield { saga: own };
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      signal.throwIfAborted();
    };
    const response = await short.ask('GET', `/v1/sagas/${ref}`, {
      token: await short.login('somebody'),
      headers: { accept: 'text/event-stream' },
    });
    const text = await response.text();
    expect(text.match(/^event: .*$/gm)).toEqual(['event: saga']);
  });

  it('that are not there, or not one’s own to look after, are refused', async () => {
    const missing = problem(404, 'not_found', 'There is no such saga');
    for (const id of ['x', sagaRef('gateway', uuid), sagaRef('toString', uuid)])
      expect((await on.json('GET', `/v1/sagas/${id}`, { token: person })).body).toEqual(missing);
    for (const [method, path] of [
      ['GET', '/v1/admin/sagas'],
      ['GET', `/v1/admin/sagas/${ref}`],
      ['POST', `/v1/admin/sagas/${ref}/kill`],
    ] as const)
      expect((await on.json(method, path, { token: person })).status).toBe(403);
    for (const [path, body] of [
      [`/v1/admin/sagas/${ref}/explode`, { reason: 'x' }],
      [`/v1/admin/sagas/${ref}/kill`, {}],
    ] as const)
      expect((await on.json('POST', path, { token: operator, body })).status).toBe(400);
    const wrong = await on.json('GET', '/v1/admin/sagas?service=gateway', { token: operator });
    expect(wrong.status).toBe(400);
  });
});
