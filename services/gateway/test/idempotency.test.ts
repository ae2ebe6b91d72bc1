import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FakeMesh, fakeMesh } from './fakes.ts';
import { startGateway, type TestGateway } from './gateway.ts';

let mesh: FakeMesh;
let gateway: TestGateway;
let token: string;

beforeAll(async () => {
  mesh = await fakeMesh();
  gateway = await startGateway(mesh);
  token = await gateway.login('u1');
});
afterAll(async () => {
  await gateway?.stop();
  await mesh?.stop();
});

const mutation = { seq: 1, collection: 'task', id: 'a', baseVersion: 0, hlc: '0123456789ab-0000-d1' };
const ops = [{ op: 'set', path: ['done'], value: true }];
const signIn = { email: 'ada@example.org', password: 'correct horse' };
const classic = { user_id: 'u1', platform: 'web' };

/** Every unsafe route: what its repetition does, and the call behind that is told of the key. */
const routes = [
  ['POST', '/v1/auth/register', 'key', 'register', signIn],
  ['POST', '/v1/auth/login', 'counts', 'login', signIn],
  ['POST', '/v1/auth/refresh', 'key', 'refresh', { refreshToken: 'r' }],
  ['POST', '/v1/auth/logout', 'harmless', 'logout', undefined],
  ['POST', '/v1/auth/tickets', 'counts', 'createTicket', undefined],
  ['POST', '/v1/auth/tokens', 'key', 'createApiToken', { name: 'ci', scopes: ['session'] }],
  ['DELETE', '/v1/auth/tokens/{id}', 'harmless', 'revokeApiToken', undefined],
  ['PATCH', '/v1/me', 'key', 'updateProfile', { displayName: 'Ada' }],
  ['PUT', '/v1/me/preferences', 'harmless', 'getDocument', {}],
  ['PUT', '/v1/me/persona', 'key', 'changeSession', { persona: 'cruz' }],
  ['PUT', '/v1/me/memory', 'key', 'changeSession', { enabled: true }],
  ['DELETE', '/v1/me', 'harmless', 'eraseMe', undefined],
  ['DELETE', '/v1/me/devices/{id}', 'harmless', 'listDevices', undefined],
  ['POST', '/v1/me/identities', 'key', 'linkByCode', { code: 'c' }],
  ['POST', '/v1/me/identities/link-code', 'counts', 'createLinkCode', undefined],
  ['DELETE', '/v1/me/identities/{platform}', 'harmless', 'unlinkIdentity', undefined],
  ['POST', '/v1/spaces', 'key', 'createSpace', { title: 'Team' }],
  ['PUT', '/v1/spaces/{space}/members/{user}', 'key', 'putMember', { role: 'editor' }],
  ['DELETE', '/v1/spaces/{space}/members/{user}', 'key', 'removeMember', undefined],
  ['POST', '/v1/spaces/{space}/invitations', 'key', 'createInvitation', { role: 'editor' }],
  ['DELETE', '/v1/spaces/{space}/invitations/{invitation}', 'harmless', 'revokeInvitation', undefined],
  ['POST', '/v1/invitations/preview', 'harmless', 'getProfile', { code: 'c' }],
  ['POST', '/v1/invitations/accept', 'harmless', 'getProfile', { code: 'c' }],
  ['POST', '/v1/invitations/decline', 'harmless', 'getProfile', { code: 'c' }],
  [
    'POST',
    '/v1/spaces/{space}/conflicts/{conflict}/resolve',
    'key',
    'resolveConflict',
    { choice: 'server', version: 1 },
  ],
  ['POST', '/v1/spaces/{space}/conflicts/{conflict}/undo', 'key', 'undoConflict', undefined],
  ['POST', '/v1/spaces/{space}/conversations', 'key', 'createConversation', {}],
  [
    'POST',
    '/v1/spaces/{space}/conversations/{conversation}/fork',
    'key',
    'forkConversation',
    { messageId: 'm' },
  ],
  ['PATCH', '/v1/spaces/{space}/conversations/{conversation}', 'key', 'renameConversation', { title: 't' }],
  ['POST', '/v1/spaces/{space}/messages', 'key', 'appendMessage', { clientMessageId: 'c', text: 'hi' }],
  [
    'POST',
    '/v1/spaces/{space}/mutations',
    'harmless',
    'mutate',
    { device: 'd', mutations: [{ ...mutation, ops }] },
  ],
  ['POST', '/v1/spaces/{space}/health-records', 'key', 'recordHealthData', { value: { pulse: 72 } }],
  [
    'POST',
    '/v1/spaces/{space}/projects',
    'key',
    'startProject',
    { title: 't', tasks: [{ text: 'Think', persona: 'cruz' }] },
  ],
  ['POST', '/v1/spaces/{space}/projects/{project}/cancel', 'harmless', 'cancelProject', undefined],
  ['POST', '/v1/turns/{turn}/cancel', 'harmless', 'cancelTurn', undefined],
  ['POST', '/message/unified', 'key', 'getSpace', { ...classic, content: 'hi' }],
  [
    'POST',
    '/sync/event',
    'key',
    'changeSession',
    { ...classic, event_type: 'memory_toggle', data: { enabled: true } },
  ],
] as const;

/** Those of operators and channels, whom the person of these tests is none of. */
const operatorRoutes = [
  ['POST', '/v1/admin/dead-letters/{id}/retry', 'harmless'],
  ['POST', '/v1/admin/dead-letters/{id}/drop', 'harmless'],
  ['POST', '/v1/admin/replays', 'harmless'],
  ['POST', '/v1/admin/sagas/{id}/{verb}', 'harmless'],
  ['DELETE', '/v1/admin/users/{user}', 'harmless'],
  ['POST', '/v1/channels/link-codes', 'counts'],
  ['POST', '/v1/channels/identities', 'key'],
] as const;

describe('Idempotency-Key', () => {
  it('is said of every unsafe route to be a parameter, needless or without effect', async () => {
    const { paths } = (await gateway.json('GET', '/openapi.json')).body as {
      paths: Record<string, Record<string, { description?: string; parameters: { name: string }[] }>>;
    };
    const said = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods)
        .filter(([method]) => method !== 'get')
        .map(([method, { description = '', parameters }]) => {
          const isParameter = parameters.some(({ name }) => name === 'Idempotency-Key');
          const rest = /effect of its own/.test(description) ? 'counts' : 'harmless';
          return [method.toUpperCase(), path, isParameter ? 'key' : rest].join(' ');
        }),
    );
    expect(said.toSorted()).toEqual(
      [...routes, ...operatorRoutes]
        .map(([method, path, repeat]) => `${method} ${path} ${repeat}`)
        .toSorted(),
    );
    const reading = Object.values(paths).flatMap(({ get }) => get?.parameters ?? []);
    expect(reading.filter(({ name }) => name === 'Idempotency-Key')).toEqual([]);
  });

  it.each(routes)('of %s %s: %s', async (method, path, repeat, rpc, body) => {
    const before = mesh.calls(rpc).length;
    const headers = { 'idempotency-key': 'k'.repeat(255) };
    const ask = { token, headers, ...(body === undefined ? {} : { body }) };
    await gateway.ask(method, path.replaceAll(/\{\w+\}/g, 'x'), ask);
    const seen = mesh.calls(rpc).slice(before);
    expect(seen.length).toBeGreaterThan(0);
    const key = repeat === 'key' ? headers['idempotency-key'] : undefined;
    expect(seen[0]?.ctx.idempotencyKey).toBe(key);
  });

  it('names a message of a classic client that has no id of its own', async () => {
    const say = async (key?: string) => {
      mesh.sync.getSpace = async () => ({
        space: { id: 's', kind: 'personal', title: '', role: 'owner', epoch: 'e', head: 0, lastSeq: 0 },
      });
      const headers = key === undefined ? {} : { 'idempotency-key': key };
      await gateway.ask('POST', '/message/unified', { token, headers, body: { ...classic, content: 'hi' } });
      const seen = mesh.calls('appendMessage').at(-1)?.request as { clientMessageId: string } | undefined;
      return seen?.clientMessageId;
    };
    const first = await say('one');
    expect(await say('one')).toBe(first);
    expect(await say('two')).not.toBe(first);
    expect(await say()).not.toBe(await say());
  });
});
