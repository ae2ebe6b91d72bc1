import { AppError, syncV1, userV1 } from '@skein/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sagaRef } from '../src/http/routes/sagas.ts';
import { type FakeMesh, fakeMesh } from './fakes.ts';
import { startGateway, type TestGateway } from './gateway.ts';

let mesh: FakeMesh;
let on: TestGateway;
let person: string;
beforeAll(async () => {
  mesh = await fakeMesh();
  on = await startGateway(mesh);
  person = await on.login('somebody');
});
afterAll(async () => {
  await on.stop();
  await mesh.stop();
});

const saga = '019c0000-0000-7000-8000-000000000001';

describe('erasing a person', () => {
  it('is asked for by a login, with a password when it is not fresh', async () => {
    mesh.user.eraseMe = async ({ password }) => {
      if (password === '') throw new AppError('reauthentication_required');
      return { sagaId: saga };
    };
    expect(await on.json('DELETE', '/v1/me', { token: person })).toMatchObject({
      status: 403,
      body: { code: 'reauthentication_required' },
    });
    expect(await on.json('DELETE', '/v1/me', { token: person, body: { password: 'p' } })).toEqual({
      status: 202,
      body: { sagaId: sagaRef('user', saga) },
    });
    const token = await on.apiToken('somebody', 'session');
    expect((await on.json('DELETE', '/v1/me', { token })).status).toBe(403);
  });

  it('is asked for by an operator with a reason', async () => {
    mesh.user.eraseUser = async () => ({ sagaId: saga });
    const path = '/v1/admin/users/u1';
    expect((await on.json('DELETE', path, { token: person, body: { reason: 'r' } })).status).toBe(403);
    const token = await on.apiToken('operator-1', 'operator');
    expect((await on.json('DELETE', path, { token, body: {} })).status).toBe(400);
    expect((await on.json('DELETE', path, { token, body: { reason: 'r' } })).status).toBe(202);
    expect(mesh.calls('eraseUser').at(-1)).toMatchObject({ request: { userId: 'u1', reason: 'r' } });
  });
});

describe('an export', () => {
  it('goes through every kind there is, page by page, with what the person wrote in teams', async () => {
    const none = async () => ({ items: [], next: '' });
    Object.assign(mesh.user, { listNotices: none });
    Object.assign(mesh.auth, { listApiTokens: none, listSessions: none });
    Object.assign(mesh.sync, { listDevices: none, listDocuments: none, listConversations: none });
    mesh.identities.listIdentities = async () => ({ items: [] });
    mesh.user.getProfile = async () => ({
      profile: userV1.Profile.fromPartial({ userId: 'somebody', email: 'a@example.org', createdAtMs: 1 }),
    });
    const spaces = ['personal', 'team'].map((kind) => syncV1.Space.fromPartial({ id: kind, kind }));
    mesh.sync.listSpaces = async ({ limit, cursor }) => {
      const from = Number(cursor);
      const items = spaces.slice(from, from + limit);
      return { items, next: from + limit < spaces.length ? String(from + limit) : '' };
    };
    mesh.sync.listMessages = async ({ space, cursor }) => ({
      items: ['somebody', 'else'].map((userId) =>
        syncV1.Message.fromPartial({ id: `${space}-${userId}-${cursor || 1}`, userId, timeMs: 1 }),
      ),
      next: cursor === '' ? '2' : '',
    });
    const taken: { kind: string; data: { id?: string } }[] = [];
    let pages = 0;
    for (let next: string | undefined = ''; next !== undefined; pages += 1) {
      const { body } = await on.json('GET', `/v1/me/export?cursor=${next}`, { token: person });
      const page = body as { items: typeof taken; next?: string };
      taken.push(...page.items);
      next = page.next;
    }
    expect(taken.map(({ kind, data }) => `${kind} ${data.id}`)).toEqual([
      ...['profile somebody', 'space personal', 'space team'],
      ...['message personal-somebody-1', 'message personal-else-1'],
      ...['message personal-somebody-2', 'message personal-else-2'],
      ...['message team-somebody-1', 'message team-somebody-2'],
    ]);
    expect(pages).toBe(12);
    const token = person;
    for (const cursor of ['x', Buffer.from('["message","x"]').toString('base64url')])
      expect((await on.json('GET', `/v1/me/export?cursor=${cursor}`, { token })).status).toBe(400);
  });
});

describe('accounts on other platforms', () => {
  it('are linked by codes that go either way', async () => {
    mesh.identities.createLinkCode = async () => ({ code: 'AAAAA-BBBBB', expiresInS: 600 });
    mesh.identities.linkByCode = async () => ({ sagaId: saga, linked: true });
    mesh.identities.linkAccount = async () => ({ sagaId: saga, linked: false });
    mesh.identities.createAccountCode = async () => ({ code: 'CCCCC-DDDDD', expiresInS: 600 });
    const path = '/v1/me/identities';
    expect(await on.json('POST', `${path}/link-code`, { token: person })).toEqual({
      status: 201,
      body: { code: 'AAAAA-BBBBB', expiresIn: 600 },
    });
    expect(await on.json('POST', path, { token: person, body: { code: 'CCCCC-DDDDD' } })).toEqual({
      status: 202,
      body: { sagaId: sagaRef('user', saga), linked: true },
    });
    const account = { platform: 'telegram', account: '42' };
    for (const [to, body] of [
      ['/v1/channels/link-codes', account],
      ['/v1/channels/identities', { ...account, code: 'AAAAA-BBBBB' }],
    ] as const) {
      expect((await on.json('POST', to, { token: person, body })).status).toBe(403);
      const token = await on.apiToken('bot', 'channel');
      expect((await on.json('POST', to, { token, body })).status).toBeLessThan(300);
    }
    expect(mesh.calls('linkAccount').at(-1)).toMatchObject({
      request: { code: 'AAAAA-BBBBB', account: { ...account, name: '' } },
    });
  });

  it('are listed and unlinked, and a taken one is a problem with a code', async () => {
    mesh.identities.listIdentities = async () => ({
      items: [{ account: { platform: 'telegram', account: '42', name: '' }, linkedAtMs: 1_769_860_800_000 }],
    });
    const { body } = await on.json('GET', '/v1/me/identities', { token: person });
    expect(body).toEqual({
      items: [{ platform: 'telegram', account: '42', linkedAt: '2026-01-31T12:00:00.000Z' }],
    });
    mesh.identities.unlinkIdentity = async () => ({});
    expect((await on.json('DELETE', '/v1/me/identities/telegram', { token: person })).status).toBe(204);
    mesh.identities.linkByCode = async () => {
      throw new AppError('identity_taken');
    };
    expect(
      await on.json('POST', '/v1/me/identities', { token: person, body: { code: 'CCCCC-DDDDD' } }),
    ).toMatchObject({ status: 409, body: { code: 'identity_taken', retryable: false } });
  });
});
