import { AppError, type eventsV1 } from '@skein/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FakeMesh, fakeMesh } from './fakes.ts';
import { problem, startGateway, type TestGateway } from './gateway.ts';

let mesh: FakeMesh;
let on: TestGateway;
let token: string;

beforeAll(async () => {
  mesh = await fakeMesh();
  on = await startGateway(mesh);
  token = await on.apiToken('operator-1', 'operator');
});
afterAll(async () => {
  await on.stop();
  await mesh.stop();
});

const letter = (eventId: string): eventsV1.DeadLetter => ({
  consumer: 'user-accounts',
  eventId,
  type: 'user.registered',
  subject: 'u1',
  error: 'Error: poison',
  attempts: 5,
  diedAtMs: 1_769_860_800_000,
});

interface Page {
  readonly items: readonly { readonly id: string; readonly service: string; readonly eventId: string }[];
  readonly next?: string;
}

/** Dead letters of two services, one of them with two pages. */
const withLetters = () => {
  for (const service of ['agent', 'auth', 'session-sync', 'user']) {
    const events = mesh.events[service];
    if (!events) throw new Error(`no ${service}`);
    events.listDeadLetters = async () => ({ items: [], next: '' });
  }
  const user = mesh.events['user'];
  const agent = mesh.events['agent'];
  if (!user || !agent) throw new Error('no services');
  agent.listDeadLetters = async () => ({ items: [letter('a1')], next: '' });
  user.listDeadLetters = async ({ cursor }) =>
    cursor === '' ? { items: [letter('u1')], next: 'page-2' } : { items: [letter('u2')], next: '' };
  return { user };
};

const allLetters = async (): Promise<Page['items']> => {
  const found: Page['items'][number][] = [];
  let cursor: string | undefined;
  do {
    const { body } = await on.json(
      'GET',
      `/v1/admin/dead-letters?limit=1${cursor === undefined ? '' : `&cursor=${cursor}`}`,
      { token },
    );
    const page = body as Page;
    found.push(...page.items);
    cursor = page.next;
  } while (cursor !== undefined);
  return found;
};

describe('dead letters', () => {
  it('are listed over all services, page by page', async () => {
    withLetters();
    const found = await allLetters();
    expect(found.map(({ service, eventId }) => [service, eventId])).toEqual([
      ['agent', 'a1'],
      ['user', 'u1'],
      ['user', 'u2'],
    ]);
    expect(found[0]).toEqual({
      ...{ id: expect.any(String), service: 'agent', consumer: 'user-accounts', eventId: 'a1' },
      ...{ type: 'user.registered', subject: 'u1', error: 'Error: poison', attempts: 5 },
      diedAt: '2026-01-31T12:00:00.000Z',
    });
    const { body } = await on.json('GET', '/v1/admin/dead-letters?service=auth', { token });
    expect(body).toEqual({ items: [] });
  });

  it('are retried and dropped where they are, in the name of the operator and with the reason', async () => {
    const { user } = withLetters();
    const id = (await allLetters())[1]?.id ?? '';
    const orders: unknown[] = [];
    user.retryDeadLetter = async (request, { actor }) => {
      orders.push(['retry', request, actor?.userId]);
      return { outcome: 'failed', error: 'Error: poison' };
    };
    user.dropDeadLetter = async (request, { actor }) => {
      orders.push(['drop', request, actor?.userId]);
      return {};
    };
    const ask = { token, body: { reason: 'mended' } };
    expect(await on.json('POST', `/v1/admin/dead-letters/${id}/retry`, ask)).toEqual({
      status: 200,
      body: { outcome: 'failed', error: 'Error: poison' },
    });
    expect(await on.json('POST', `/v1/admin/dead-letters/${id}/drop`, ask)).toEqual({
      status: 204,
      body: undefined,
    });
    const request = { consumer: 'user-accounts', eventId: 'u1', reason: 'mended' };
    expect(orders).toEqual([
      ['retry', request, 'operator-1'],
      ['drop', request, 'operator-1'],
    ]);
  });

  it('are for operators only', async () => {
    const person = await on.login('somebody');
    for (const [method, path] of [
      ['GET', '/v1/admin/dead-letters'],
      ['POST', '/v1/admin/dead-letters/x/retry'],
      ['POST', '/v1/admin/dead-letters/x/drop'],
      ['POST', '/v1/admin/replays'],
    ] as const) {
      const ask = method === 'POST' ? { body: { reason: 'curious' } } : {};
      expect(await on.json(method, path, { ...ask, token: person })).toEqual({
        status: 403,
        body: problem(403, 'forbidden', 'The token lacks the scope operator'),
      });
      expect((await on.json(method, path, ask)).status).toBe(401);
    }
  });

  it('that are none of ours are refused with a sentence', async () => {
    const body = { reason: 'mended' };
    const post = (id: string, more: object = {}) =>
      on.json('POST', `/v1/admin/dead-letters/${id}/retry`, { token, body: { ...body, ...more } });
    for (const id of ['x', Buffer.from('["auth"]').toString('base64url')])
      expect((await post(id)).status).toBe(404);
    const foreign = Buffer.from('["__proto__","c","e"]').toString('base64url');
    expect((await post(foreign)).status).toBe(404);
    expect((await post('x', { reason: '' })).status).toBe(400);
    expect(await on.json('GET', '/v1/admin/dead-letters?cursor=x', { token })).toMatchObject({
      status: 400,
      body: { detail: 'This cursor is not one of ours' },
    });
    expect(await on.json('GET', '/v1/admin/dead-letters?service=toString', { token })).toMatchObject({
      status: 400,
      body: { detail: 'service must be one of agent, auth, session-sync, user' },
    });
  });
});

describe('a replay', () => {
  it('goes to the service that published, and what it refuses is told', async () => {
    const auth = mesh.events['auth'];
    if (!auth) throw new Error('no auth');
    const orders: unknown[] = [];
    auth.replayEvents = async (request) => {
      orders.push(request);
      if (orders.length > 1) throw new AppError('invalid_request', 'replay from later');
      return {};
    };
    const body = { service: 'auth', from: '2026-01-31T12:00:00.000Z', reason: 'lost events' };
    expect((await on.json('POST', '/v1/admin/replays', { token, body })).status).toBe(204);
    expect(orders).toEqual([{ fromMs: 1_769_860_800_000, reason: 'lost events' }]);
    expect(await on.json('POST', '/v1/admin/replays', { token, body })).toMatchObject({
      status: 400,
      body: { detail: 'replay from later' },
    });
    expect(
      (await on.json('POST', '/v1/admin/replays', { token, body: { ...body, from: 'yesterday' } })).status,
    ).toBe(400);
  });
});
