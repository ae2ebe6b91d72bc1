import { AppError, sagaV1, type syncV1 } from '@skein/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FakeMesh, fakeMesh } from './fakes.ts';
import { problem, startGateway, type TestGateway } from './gateway.ts';

let mesh: FakeMesh;
let gateway: TestGateway;

beforeAll(async () => {
  mesh = await fakeMesh();
  gateway = await startGateway(mesh);
});
afterAll(async () => {
  await gateway?.stop();
  await mesh?.stop();
});

const space: syncV1.Space = {
  ...{ id: 's1', kind: 'personal', title: 'Mine', role: 'owner', epoch: 'e1', head: 7, lastSeq: 0 },
};

const lastCall = (method: string) => mesh.calls(method).at(-1);

describe('spaces', () => {
  it('lists, makes and shows spaces and their members', async () => {
    mesh.sync.listSpaces = async () => ({ items: [space], next: '' });
    mesh.sync.createSpace = async ({ title }) => ({ space: { ...space, id: 's2', kind: 'team', title } });
    mesh.sync.getSpace = async () => ({ space });
    mesh.sync.listMembers = async () => ({ items: [{ userId: 'u1', role: 'owner' }], next: '' });
    const token = await gateway.login('u1');
    const shown = { id: 's1', kind: 'personal', title: 'Mine', role: 'owner', epoch: 'e1', head: 7 };
    expect((await gateway.json('GET', '/v1/spaces', { token })).body).toEqual({ items: [shown] });
    const body = { title: 'Team' };
    const made = await gateway.json('POST', '/v1/spaces', { token, body });
    expect(made).toEqual({ status: 201, body: { ...shown, id: 's2', kind: 'team', title: 'Team' } });
    expect((await gateway.json('GET', '/v1/spaces/personal', { token })).body).toEqual(shown);
    expect((await gateway.json('GET', '/v1/spaces/s1/members', { token })).body).toEqual({
      items: [{ userId: 'u1', role: 'owner' }],
    });
  });

  it('invites, changes and removes members by their role', async () => {
    let invited = false;
    mesh.sync.putMember = async ({ userId, role }) => ({ member: { userId, role }, invited });
    mesh.sync.removeMember = async () => ({});
    const token = await gateway.login('u1');
    const path = '/v1/spaces/s1/members/u2';
    expect(await gateway.json('PUT', path, { token, body: { role: 'editor' } })).toEqual({
      ...{ status: 200, body: { userId: 'u2', role: 'editor' } },
    });
    expect(lastCall('putMember')?.request).toEqual({ space: 's1', userId: 'u2', role: 'editor' });
    invited = true;
    expect((await gateway.json('PUT', path, { token, body: { role: 'viewer' } })).body).toEqual({
      ...{ userId: 'u2', role: 'viewer', invited: true },
    });
    expect((await gateway.json('PUT', path, { token, body: { role: 'king' } })).status).toBe(400);
    expect((await gateway.json('DELETE', path, { token })).status).toBe(204);
    expect(lastCall('removeMember')?.request).toEqual({ space: 's1', userId: 'u2' });
  });

  it('reads the log with the place to go on from', async () => {
    const json = '{"id":"x","type":"message.created","time":1,"actor":{"kind":"user"},"data":{"text":"hi"}}';
    mesh.sync.readEvents = async () => ({
      ...{ epoch: 'e1', head: 7, floor: 1 },
      events: [{ offset: 3, id: 'x', type: 'message.created', json }],
    });
    const token = await gateway.login('u1');
    const answer = await gateway.json('GET', '/v1/spaces/s1/events?after=2&epoch=e1&limit=1', { token });
    expect(answer.body).toEqual({
      ...{ epoch: 'e1', head: 7, floor: 1, next: 3 },
      events: [{ offset: 3, ...(JSON.parse(json) as object) }],
    });
    expect(lastCall('readEvents')?.request).toEqual({ space: 's1', epoch: 'e1', after: 2, limit: 1 });
  });

  it('says where the log is when a position is lost', async () => {
    mesh.sync.readEvents = async () => {
      throw new AppError('position_lost', undefined, { meta: { epoch: 'e2', head: '7', floor: '1' } });
    };
    const token = await gateway.login('u1');
    expect(await gateway.json('GET', '/v1/spaces/s1/events?after=9', { token })).toEqual({
      status: 410,
      body: problem(410, 'position_lost', 'This position is not in the log', {
        epoch: 'e2',
        head: 7,
        floor: 1,
      }),
    });
  });
});

describe('conversations', () => {
  it('accepts a message with 202 and asks for an answer unless told not to', async () => {
    mesh.sync.appendMessage = async ({ reply }) => ({
      ...{ messageId: 'm1', conversationId: 'c1', answerMessageId: 'm2', offset: 4, persona: 'cruz' },
      ...{ turnId: reply ? 't1' : '', duplicate: !reply },
    });
    const token = await gateway.login('u1');
    const body = { clientMessageId: 'k1', text: 'hello' };
    expect(await gateway.json('POST', '/v1/spaces/personal/messages', { token, body })).toEqual({
      status: 202,
      body: { messageId: 'm1', conversationId: 'c1', turnId: 't1', offset: 4 },
    });
    const quiet = { ...body, reply: false, attachments: [{ a: 1 }] };
    expect((await gateway.json('POST', '/v1/spaces/personal/messages', { token, body: quiet })).body).toEqual(
      {
        ...{ messageId: 'm1', conversationId: 'c1', offset: 4, duplicate: true },
      },
    );
    expect(lastCall('appendMessage')?.request).toMatchObject({
      ...{ space: 'personal', conversationId: '', clientMessageId: 'k1', text: 'hello', persona: '' },
      ...{ attachmentsJson: '[{"a":1}]', reply: false, origin: { device: { id: '', platform: 'api' } } },
    });
  });

  it('lists conversations and messages, and starts a conversation without a body', async () => {
    const conversation = {
      ...{ id: 'c1', title: '', createdAtMs: 0, updatedAtMs: 0, head: 'm1', count: 1 },
      ...{ parent: '', forkedAt: '' },
    };
    mesh.sync.listConversations = async () => ({ items: [conversation], next: '' });
    mesh.sync.createConversation = async () => ({ conversation: { ...conversation, head: '' }, offset: 2 });
    mesh.sync.listMessages = async () => ({
      items: [
        {
          ...{ id: 'm1', conversationId: 'c1', role: 'user', text: 'hi', timeMs: 0, userId: 'u1' },
          ...{ platform: 'web', persona: '', turnId: '', clientMessageId: 'k', state: 'complete', offset: 1 },
          metaJson: '{"offline":true}',
        },
      ],
      next: 'older',
    });
    const token = await gateway.login('u1');
    const at = '1970-01-01T00:00:00.000Z';
    const shown = { id: 'c1', title: '', createdAt: at, updatedAt: at, count: 1 };
    const path = '/v1/spaces/s1/conversations';
    expect((await gateway.json('GET', path, { token })).body).toEqual({ items: [{ ...shown, head: 'm1' }] });
    const headers = { 'idempotency-key': 'new-1' };
    expect(await gateway.json('POST', path, { token, headers })).toEqual({ status: 201, body: shown });
    expect(lastCall('createConversation')?.request).toMatchObject({ title: '', idempotencyKey: 'new-1' });
    expect((await gateway.json('GET', `${path}/c1/messages`, { token })).body).toEqual({
      items: [
        {
          ...{ id: 'm1', conversationId: 'c1', role: 'user', text: 'hi', time: at, userId: 'u1' },
          ...{ platform: 'web', clientMessageId: 'k', state: 'complete', offset: 1 },
          meta: { offline: true },
        },
      ],
      next: 'older',
    });
  });

  it('forks and renames conversations, and says who, where and why', async () => {
    const shown = { id: 'c2', title: 'Other', createdAtMs: 0, updatedAtMs: 0, head: 'm1', count: 3 };
    const conversation = { ...shown, parent: 'c1', forkedAt: 'm1' };
    mesh.sync.forkConversation = async () => ({ conversation });
    mesh.sync.renameConversation = async () => ({ conversation });
    const token = await gateway.login('u1');
    const at = '1970-01-01T00:00:00.000Z';
    const { createdAtMs: _, updatedAtMs: __, ...facts } = conversation;
    const body = { messageId: 'm1', reason: 'another way', device: { id: 'd1', platform: 'web' } };
    const path = '/v1/spaces/s1/conversations/c1';
    expect(await gateway.json('POST', `${path}/fork`, { token, body })).toEqual({
      ...{ status: 201, body: { ...facts, createdAt: at, updatedAt: at } },
    });
    expect(lastCall('forkConversation')?.request).toMatchObject({
      ...{ space: 's1', conversationId: 'c1', messageId: 'm1', title: '', reason: 'another way' },
      ...{ origin: { device: { id: 'd1', platform: 'web' } } },
    });
    expect((await gateway.json('PATCH', path, { token, body: { title: ' Other ' } })).status).toBe(200);
    expect(lastCall('renameConversation')?.request).toMatchObject({
      ...{
        conversationId: 'c1',
        title: 'Other',
        reason: '',
        origin: { device: { id: '', platform: 'api' } },
      },
    });
    expect((await gateway.json('PATCH', path, { token, body: { title: ' ' } })).status).toBe(400);
  });

  it('joins the parts of a past state', async () => {
    const document = { collection: 'task', id: 't1', version: 2, value: { a: 1 }, hash: 'h' };
    const conversation = { id: 'c1', title: 'T', count: 0 };
    mesh.sync.readSnapshot = async function* () {
      const at = { epoch: 'e', offset: 7, parts: 2 };
      yield { ...at, part: 1, json: JSON.stringify({ documents: [document], conversations: [] }) };
      const last = { documents: [], conversations: [conversation], stateHash: '1:00' };
      yield { ...at, part: 2, json: JSON.stringify(last) };
    };
    const token = await gateway.login('u1');
    expect((await gateway.json('GET', '/v1/spaces/s1/state?at=7', { token })).body).toEqual({
      ...{ epoch: 'e', offset: 7, documents: [document], conversations: [conversation], stateHash: '1:00' },
    });
    expect(lastCall('readSnapshot')?.request).toEqual({ space: 's1', at: '7' });
  });

  it('checks a ledger at the price of ten messages', async () => {
    mesh.healthRecords.verifyLedger = async () => ({ entries: 1, erased: 0, headHash: 'h', faults: [] });
    const token = await gateway.login('checker');
    const path = '/v1/spaces/personal/health-records/ledger';
    expect((await gateway.json('GET', path, { token })).body).toEqual({
      ...{ intact: true, entries: 1, erased: 0, head: { position: 1, hash: 'h' }, faults: [] },
    });
    const answers = await Promise.all(Array.from({ length: 8 }, () => gateway.json('GET', path, { token })));
    expect(answers.map(({ status }) => status)).toContain(429);
  });

  it('begins and cancels a project, and names its saga as one of the agent', async () => {
    mesh.agent.startProject = async () => ({ projectId: 'p1', sagaId: 'saga-1' });
    mesh.agent.cancelProject = async () => ({ state: 'compensating' });
    Object.assign(mesh.sagas['agent'] ?? {}, {
      getOwnSaga: async ({ id }: sagaV1.GetOwnSagaRequest) => ({
        saga: { ...sagaV1.OwnSaga.fromPartial({}), id, name: 'run-project', state: 'running' },
      }),
    });
    const token = await gateway.login('planner');
    const path = '/v1/spaces/s1/projects';
    const body = { title: 'A trip', tasks: [{ text: 'Find a train' }, { text: 'Pack', persona: 'cruz' }] };
    const begun = await gateway.json('POST', path, { token, body });
    expect(begun).toMatchObject({ status: 202, body: { projectId: 'p1' } });
    expect(lastCall('startProject')?.request).toEqual({
      ...{ space: 's1', title: 'A trip' },
      tasks: [
        { text: 'Find a train', persona: '' },
        { text: 'Pack', persona: 'cruz' },
      ],
    });
    const { sagaId } = begun.body as { sagaId: string };
    expect((await gateway.json('GET', `/v1/sagas/${sagaId}`, { token })).body).toMatchObject({
      ...{ id: sagaId, name: 'run-project', state: 'running' },
    });
    expect(await gateway.json('POST', `${path}/p1/cancel`, { token })).toEqual({
      ...{ status: 202, body: { state: 'compensating' } },
    });
    const wrong = { title: '', tasks: [] };
    expect((await gateway.json('POST', path, { token, body: wrong })).body).toMatchObject({
      ...{ code: 'invalid_request', errors: [{ path: 'title' }, { path: 'tasks' }] },
    });
  });

  it('shows, cancels and lists what agent has', async () => {
    const turn = { id: 't1', state: 'streaming', text: 'so far', messageId: 'm2', conversationId: 'c1' };
    mesh.agent.getTurn = async () => ({ turn: { ...turn, space: 's1' } });
    mesh.agent.cancelTurn = async () => ({ state: 'cancelled' });
    mesh.agent.listPersonas = async () => ({
      items: [{ id: 'cruz', name: 'CRUZ', description: 'all round' }],
    });
    const token = await gateway.login('u1');
    expect((await gateway.json('GET', '/v1/turns/t1', { token })).body).toEqual(turn);
    expect((await gateway.json('POST', '/v1/turns/t1/cancel', { token })).body).toEqual({
      state: 'cancelled',
    });
    expect((await gateway.json('GET', '/v1/personas', { token })).body).toEqual({
      items: [{ id: 'cruz', name: 'CRUZ', description: 'all round' }],
    });
  });
});

describe('what others get to see', () => {
  it('costs more than a message: making spaces and adding people to them', async () => {
    const space = { id: 's2', kind: 'team', title: 't', role: 'owner', epoch: 'e', head: 0, lastSeq: 0 };
    mesh.sync.createSpace = async () => ({ space });
    mesh.sync.putMember = async ({ userId, role }) => ({ member: { userId, role }, invited: false });
    const statuses = async (user: string, count: number, method: string, path: string, body: unknown) => {
      const token = await gateway.login(user);
      const answers = await Promise.all(
        Array.from({ length: count }, () => gateway.json(method, path, { token, body })),
      );
      return answers.map(({ status }) => status);
    };
    const made = await statuses('maker', 12, 'POST', '/v1/spaces', { title: 't' });
    expect(made.filter((status) => status === 201).length).toBeGreaterThanOrEqual(4);
    expect(made).toContain(429);
    const added = await statuses('adder', 40, 'PUT', '/v1/spaces/s2/members/u2', { role: 'viewer' });
    expect(added).toContain(200);
    expect(added).toContain(429);
  });
});

describe('documents', () => {
  it('lists and shows documents, and passes mutations on as they are', async () => {
    const document = {
      ...{ collection: 'task', id: 'a', version: 2, valueJson: '{"done":false}', hash: 'h' },
      ...{ offset: 3, updatedAtMs: 0 },
    };
    mesh.sync.listDocuments = async () => ({ items: [document], next: '' });
    mesh.sync.getDocument = async () => ({ document });
    mesh.sync.mutate = async () => ({
      ...{ resultsJson: '[{"seq":1,"outcome":"applied","version":3}]', lastSeq: 1, deliveredTo: 1 },
    });
    const token = await gateway.login('u1');
    const shown = {
      ...{ collection: 'task', id: 'a', version: 2, value: { done: false }, hash: 'h', offset: 3 },
      updatedAt: '1970-01-01T00:00:00.000Z',
    };
    for (const path of ['documents', 'documents/task']) {
      const answer = await gateway.json('GET', `/v1/spaces/s1/${path}`, { token });
      expect(answer.body).toEqual({ items: [shown] });
    }
    expect((await gateway.json('GET', '/v1/spaces/s1/documents/task/a', { token })).body).toEqual(shown);
    const mutations = [
      {
        ...{ seq: 1, collection: 'task', id: 'a', baseVersion: 2, hlc: '0123456789ab-0000-d1' },
        ops: [{ op: 'set', path: ['done'], value: true }],
      },
    ];
    const body = { device: 'd1', mutations };
    expect((await gateway.json('POST', '/v1/spaces/s1/mutations', { token, body })).body).toEqual({
      results: [{ seq: 1, outcome: 'applied', version: 3 }],
      lastSeq: 1,
    });
    const sent = lastCall('mutate')?.request as syncV1.MutateRequest | undefined;
    expect(JSON.parse(sent?.mutationsJson ?? '')).toEqual(mutations);
  });

  it('takes every id that any protocol takes, percent-encoded in a path and as it is in a body', async () => {
    mesh.sync.getDocument = async ({ collection, id }) => ({
      document: {
        ...{ collection, id, version: 1, valueJson: '1', hash: 'h', offset: 1, updatedAtMs: 0 },
      },
    });
    mesh.sync.mutate = async () => ({ resultsJson: '[]', lastSeq: 1, deliveredTo: 0 });
    mesh.sync.applyClassic = async () => ({
      ...{ outcome: 'applied', offset: 1, conflictId: '', deliveredTo: 0, server: undefined },
    });
    const token = await gateway.login('u1');
    const change = { baseVersion: 0, hlc: '0123456789ab-0000-d1', ops: [{ op: 'set', path: [], value: 1 }] };
    const ways = (id: string) => {
      const mutations = [{ ...change, seq: 1, collection: 'task', id }];
      const data = { id, type: 'task', data: 1, timestamp: 1, version: 1 };
      const classic = { user_id: 'u1', platform: 'web', event_type: 'data_update', data };
      return Promise.all([
        gateway.json('POST', '/v1/spaces/s1/mutations', { token, body: { device: 'd1', mutations } }),
        gateway.json('POST', '/sync/event', { token, body: classic }),
        gateway.json('GET', `/v1/spaces/s1/documents/task/${encodeURIComponent(id)}`, { token }),
      ]);
    };
    for (const id of ['a', 'Einkauf 3/4 – heute?', '100 % ☃ #1', '🦜'.repeat(256)]) {
      const answers = await ways(id);
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
      expect(answers[2].body).toMatchObject({ id });
    }
    for (const id of ['x'.repeat(257), 'a\u0000b', 'line\nbreak']) {
      // A mutation is refused where its seq is counted.
      expect((await ways(id)).map(({ status }) => status)).toEqual([200, 400, 400]);
    }
  });
});
