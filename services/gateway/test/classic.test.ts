import { AppError, type syncV1 } from '@skein/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fakeFeed } from './fake-feed.ts';
import { type FakeMesh, fakeMesh } from './fakes.ts';
import { problem, startGateway, type TestGateway } from './gateway.ts';

let mesh: FakeMesh;
let gateway: TestGateway;
let token: string;
let feed: ReturnType<typeof fakeFeed>;
let turns = 0;

beforeAll(async () => {
  mesh = await fakeMesh();
  feed = fakeFeed(mesh);
  gateway = await startGateway(mesh, { ANSWER_TIMEOUT_MS: '1000' });
  token = await gateway.login('u1');
});
afterAll(async () => {
  await gateway?.stop();
  await mesh?.stop();
});

const space: syncV1.Space = {
  ...{ id: 's1', kind: 'personal', title: '', role: 'owner', epoch: 'e1', head: 10, lastSeq: 0 },
};

let turnId = '';
beforeEach(() => {
  turns += 1;
  turnId = `turn-${turns}`;
  mesh.sync.getSpace = async () => ({ space });
  mesh.sync.appendMessage = async () => ({
    ...{ messageId: 'm1', conversationId: 'c1', turnId, answerMessageId: `answer-${turnId}` },
    ...{ offset: 4, duplicate: false, persona: 'cruz' },
  });
  mesh.agent.getTurn = async () => {
    throw new AppError('not_found');
  };
});

const body = { user_id: 'u1', platform: 'slack', content: 'hello', message_id: 'mine-1' };
const answered = (content: string) => ({
  ...{ message_id: `answer-${turnId}`, user_id: 'u1', platform: 'slack', persona: 'cruz', content },
  ...{ conversation_id: 'c1', timestamp: expect.any(Number) },
});
/** Waits until the gateway has looked at the turn: from then on it listens. */
const listened = (id: string) =>
  expect
    .poll(() => mesh.calls('getTurn').some(({ request }) => (request as { turnId: string }).turnId === id))
    .toBe(true);

describe('POST /message/unified', () => {
  it('answers when the answer is complete', async () => {
    const answer = gateway.json('POST', '/message/unified', { token, body });
    await listened(turnId);
    feed.begin(turnId);
    feed.token(turnId, 0, 'Hi');
    feed.end(turnId, 'message.completed', 'Hi there');
    expect(await answer).toEqual({ status: 200, body: answered('Hi there') });
    expect(mesh.calls('appendMessage').at(-1)?.request).toMatchObject({
      ...{ space: 's1', clientMessageId: 'mine-1', text: 'hello', reply: true },
      origin: { device: { platform: 'slack' } },
    });
    expect(mesh.calls('appendMessage').at(-1)?.ctx.actor).toMatchObject({ userId: 'u1', platform: 'slack' });
  });

  it('answers a retry of the same message_id from what is stored', async () => {
    const turn = { id: turnId, state: 'done', text: 'Said before', messageId: `answer-${turnId}` };
    mesh.agent.getTurn = async () => ({ turn: { ...turn, conversationId: 'c1', space: 's1' } });
    const answer = await gateway.json('POST', '/message/unified', { token, body });
    expect(answer).toEqual({ status: 200, body: answered('Said before') });
  });

  it('says 504 with the turn when the answer takes too long', async () => {
    expect(await gateway.json('POST', '/message/unified', { token, body })).toEqual({
      status: 504,
      body: problem(504, 'deadline_exceeded', 'The answer is not complete yet', {
        ...{ retryable: true, turnId, messageId: `answer-${turnId}` },
      }),
    });
  });

  it.each([
    ['turn.cancelled', 409, 'turn_ended', 'The answer was cancelled'],
    ['turn.failed', 500, 'internal', 'The assistant could not answer'],
  ] as const)('has no answer after %s', async (type, status, code, detail) => {
    const answer = gateway.json('POST', '/message/unified', { token, body });
    await listened(turnId);
    feed.end(turnId, type, 'half');
    expect(await answer).toEqual({
      status,
      body: problem(status, code, detail, { turnId, messageId: `answer-${turnId}` }),
    });
  });

  it('streams the answer as events for those who ask for them', async () => {
    const turn = { id: turnId, state: 'streaming', text: 'So ', messageId: `answer-${turnId}` };
    mesh.agent.getTurn = async () => ({ turn: { ...turn, conversationId: 'c1', space: 's1' } });
    const response = await gateway.ask('POST', '/message/unified', {
      token,
      body,
      headers: { accept: 'text/event-stream' },
    });
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(response.headers.get('cache-control')).toBe('no-store, no-transform');
    await listened(turnId);
    feed.begin(turnId);
    feed.token(turnId, 3, 'far');
    feed.end(turnId, 'message.completed', 'So far so good');
    const events = (await response.text())
      .split('\n\n')
      .filter((block) => block.startsWith('event:'))
      .map((block) => block.split('\n'))
      .map(([event, data]) => [event, JSON.parse(data?.slice('data: '.length) ?? '') as unknown]);
    const message_id = `answer-${turnId}`;
    expect(events).toEqual([
      ['event: token', { message_id, from: 0, content: 'So ' }],
      ['event: token', { message_id, from: 3, content: 'far' }],
      ['event: message', answered('So far so good')],
    ]);
  });

  it('ends a stream that fails with the event error', async () => {
    const response = await gateway.ask('POST', '/message/unified', {
      token,
      body,
      headers: { accept: 'text/event-stream' },
    });
    await listened(turnId);
    feed.end(turnId, 'turn.failed', '');
    expect(await response.text()).toMatch(/event: error\ndata: \{.*"code":"internal".*\}\n\n$/s);
  });

  it('sends those who wait elsewhere when the gateway leaves', async () => {
    const leaving = await startGateway(mesh);
    const answer = leaving.json('POST', '/message/unified', { token, body });
    await listened(turnId);
    await leaving.gateway.service.drain?.();
    await leaving.stop();
    expect(await answer).toEqual({
      status: 503,
      body: problem(503, 'unavailable', 'This gateway is leaving', { retryable: true, retryAfterMs: 500 }),
    });
  });
});

describe('GET /user/{id}/session', () => {
  it('shows persona, memory, devices and history', async () => {
    mesh.sync.changeSession = async () => ({
      ...{ offset: 0, persona: 'cruz', memoryEnabled: true, deliveredTo: 0 },
    });
    const none = { sessionIds: [], tokenIds: [] };
    mesh.sync.listDevices = async () => ({
      items: [
        { device: { id: 'd1', platform: 'web', name: '' }, connected: true, lastSeenMs: 50, ...none },
        { device: { id: 'd2', platform: 'slack', name: '' }, connected: false, lastSeenMs: 40, ...none },
      ],
    });
    mesh.sync.listMessages = async () => ({
      items: [
        {
          ...{ id: 'm1', conversationId: 'c1', role: 'user', text: 'hi', timeMs: 60, userId: 'u1' },
          ...{
            platform: 'web',
            persona: '',
            turnId: '',
            clientMessageId: '',
            state: 'complete',
            offset: 1,
            metaJson: '',
          },
        },
      ],
      next: 'more',
    });
    expect(await gateway.json('GET', '/user/u1/session', { token })).toEqual({
      status: 200,
      body: {
        ...{ user_id: 'u1', current_persona: 'cruz', memory_enabled: true, active_platforms: ['web'] },
        devices: [
          { id: 'd1', platform: 'web', connected: true, last_seen: 50 },
          { id: 'd2', platform: 'slack', connected: false, last_seen: 40 },
        ],
        conversation_history: [{ role: 'user', content: 'hi', platform: 'web', timestamp: 60 }],
        last_active: 60,
      },
    });
    expect(mesh.calls('listMessages').at(-1)?.request).toEqual({
      ...{ space: 'personal', conversationId: '', limit: 50, cursor: '' },
    });
    expect(mesh.calls('changeSession').at(-1)?.request, 'nothing is changed').toEqual({
      space: 'personal',
      origin: { device: { id: '', platform: 'api', name: '' } },
    });
  });
});

describe('POST /sync/event', () => {
  const from = { user_id: 'u1', platform: 'slack' };

  it('changes persona and memory', async () => {
    mesh.sync.changeSession = async () => ({
      ...{ offset: 12, persona: 'cruz', memoryEnabled: false, deliveredTo: 2 },
    });
    const ok = { status: 200, body: { ok: true, offset: 12, delivered_to: 2 } };
    const send = (event_type: string, data: unknown) =>
      gateway.json('POST', '/sync/event', { token, body: { ...from, event_type, data } });
    expect(await send('persona_change', { persona: 'coordinator' })).toEqual(ok);
    expect(mesh.calls('changeSession').at(-1)?.request).toMatchObject({
      persona: 'coordinator',
      origin: { device: { id: 'rest-sid-u1', platform: 'slack' } },
    });
    for (const data of [{ enabled: false }, { memory_enabled: false }]) {
      expect(await send('memory_toggle', data)).toEqual(ok);
      expect(mesh.calls('changeSession').at(-1)?.request).toMatchObject({ memoryEnabled: false });
    }
  });

  it('registers a platform', async () => {
    mesh.sync.registerPlatform = async () => ({ offset: 3, deliveredTo: 1 });
    const data = { platform: 'telegram', device_id: 'phone' };
    const given = { ...from, event_type: 'platform_register', data };
    expect(await gateway.json('POST', '/sync/event', { token, body: given })).toEqual({
      status: 200,
      body: { ok: true, offset: 3, delivered_to: 1 },
    });
    expect(mesh.calls('registerPlatform').at(-1)?.request).toEqual({
      origin: { device: { id: 'phone', platform: 'telegram', name: '' } },
    });
  });

  it('keeps the text of a document byte for byte', async () => {
    mesh.sync.applyClassic = async () => ({
      ...{ outcome: 'settled', offset: 9, server: undefined, conflictId: 'k1', deliveredTo: 1 },
    });
    const data = '{ "b":1.0, "a":"\\u00e9", "2":[ ] }';
    const given = `{"user_id":"u1","platform":"slack","event_type":"data_update",
      "data":{"id":"t1","type":"task","data":${data},"timestamp":5,"version":3}}`;
    expect(await gateway.json('POST', '/sync/event', { token, body: given })).toEqual({
      status: 200,
      body: { ok: true, offset: 9, delivered_to: 1, outcome: 'settled', conflict_id: 'k1' },
    });
    const sent = mesh.calls('applyClassic').at(-1)?.request as syncV1.ApplyClassicRequest | undefined;
    expect(sent?.data).toEqual({ id: 't1', type: 'task', dataJson: data, timestamp: 5, version: 3 });
  });

  it('says what the device was told of a document by the answers to its own posts', async () => {
    let offset = 20;
    mesh.sync.applyClassic = async () => {
      offset += 1;
      return { outcome: 'applied', offset, server: undefined, conflictId: '', deliveredTo: 0 };
    };
    const post = async (id: string, more: object = {}) => {
      const data = { id, type: 'health_data', data: offset, timestamp: 5, version: offset };
      const given = { ...from, event_type: 'data_update', data, ...more };
      await gateway.json('POST', '/sync/event', { token, body: given });
      const sent = mesh.calls('applyClassic').at(-1)?.request as syncV1.ApplyClassicRequest | undefined;
      return sent?.seenOffset;
    };
    expect(await post('h1')).toBe(0);
    expect(await post('h1')).toBe(21);
    expect(await post('h2'), 'another document').toBe(0);
    expect(await post('h1', { device_id: 'other' }), 'another device').toBe(0);
    expect(await post('h1')).toBe(22);
  });

  it('needs the scope for documents to write one', async () => {
    const api = await gateway.apiToken('u1', 'session');
    const data = { id: 't1', type: 'task', data: 1, timestamp: 5, version: 3 };
    const given = { ...from, event_type: 'data_update', data };
    expect(await gateway.json('POST', '/sync/event', { token: api, body: given })).toEqual({
      status: 403,
      body: problem(403, 'forbidden', 'The token lacks the scope documents:write'),
    });
  });

  it('does not know other types', async () => {
    const given = { ...from, event_type: 'explode', data: {} };
    const { status, body: refused } = await gateway.json('POST', '/sync/event', { token, body: given });
    expect(status).toBe(400);
    expect(refused).toMatchObject({ code: 'invalid_request', errors: [{ path: 'event_type' }] });
  });
});
