import { AppError, type syncV1 } from '@skein/contracts';
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

const lastCall = (method: string) => mesh.calls(method).at(-1);

describe('conflicts', () => {
  const open: syncV1.Conflict = {
    ...{
      id: 'k1',
      collection: 'task',
      documentId: 'a',
      field: '/title',
      strategy: 'manual',
      reason: 'manual',
    },
    ...{ state: 'open', winner: 'server', serverJson: '"mine"', clientJson: undefined, serverVersion: 4 },
    ...{ baseVersion: 2, version: 4, userId: 'u1', deviceId: 'phone', seq: 3, createdAtMs: 0 },
    ...{ choice: '', closedBy: '', closedAtMs: 0, closedVersion: 0 },
  };
  const shown = {
    ...{
      id: 'k1',
      collection: 'task',
      documentId: 'a',
      field: '/title',
      strategy: 'manual',
      reason: 'manual',
    },
    ...{ state: 'open', winner: 'server', server: { version: 4, value: 'mine' } },
    client: { user: 'u1', device: 'phone', seq: 3, baseVersion: 2 },
    ...{ version: 4, createdAt: '1970-01-01T00:00:00.000Z' },
  };

  it('are listed with both sides and how they ended, all of them or those of one state', async () => {
    const undone = { choice: 'client', closedBy: 'u2', closedAtMs: 1_000, closedVersion: 5 };
    mesh.sync.listConflicts = async () => ({
      items: [open, { ...open, ...undone, state: 'undone', seq: 0 }],
      next: 'more',
    });
    const token = await gateway.login('u1');
    const { body } = await gateway.json('GET', '/v1/spaces/s1/conflicts?state=open&limit=2', { token });
    expect(body).toEqual({
      items: [
        shown,
        {
          ...shown,
          client: { user: 'u1', device: 'phone', baseVersion: 2 },
          state: 'undone',
          ended: { choice: 'client', by: 'u2', at: '1970-01-01T00:00:01.000Z', version: 5 },
        },
      ],
      next: 'more',
    });
    expect(lastCall('listConflicts')?.request).toEqual({ space: 's1', state: 'open', limit: 2, cursor: '' });
    expect((await gateway.json('GET', '/v1/spaces/s1/conflicts?state=lost', { token })).status).toBe(400);
  });

  it('are resolved by a choice and undone, and say what there is when somebody was quicker', async () => {
    const ended = { conflictId: 'k1', collection: 'task', documentId: 'a', version: 5, offset: 9 };
    mesh.sync.resolveConflict = async () => ({ conflict: { ...ended, state: 'resolved' } });
    const token = await gateway.login('u1');
    const resolve = (body: unknown) =>
      gateway.json('POST', '/v1/spaces/s1/conflicts/k1/resolve', { token, body });
    expect(await resolve({ choice: 'value', value: null, version: 4, device: 'laptop' })).toEqual({
      ...{ status: 200, body: { ...ended, state: 'resolved' } },
    });
    expect(lastCall('resolveConflict')?.request).toMatchObject({
      ...{ space: 's1', conflictId: 'k1', choice: 'value', valueJson: 'null', version: 4 },
      origin: { device: { id: 'laptop' } },
    });
    for (const body of [
      {},
      { choice: 'client' },
      { choice: 'both', version: 4 },
      { choice: 'value', version: 4 },
      { choice: 'client', value: 1, version: 4 },
      { choice: 'client', version: -1 },
    ])
      expect((await resolve(body)).status).toBe(400);
    mesh.sync.undoConflict = async () => {
      throw new AppError('superseded', undefined, { meta: { version: '7' } });
    };
    expect(await gateway.json('POST', '/v1/spaces/s1/conflicts/k1/undo', { token })).toEqual({
      status: 409,
      body: problem(409, 'superseded', 'It was changed since', { version: 7 }),
    });
  });

  it('need the scopes of documents', async () => {
    const token = await gateway.apiToken('u1', 'session documents:read');
    expect((await gateway.json('GET', '/v1/spaces/s1/conflicts', { token })).status).toBe(200);
    expect((await gateway.json('POST', '/v1/spaces/s1/conflicts/k1/undo', { token })).status).toBe(403);
  });
});

describe('invitations', () => {
  const made: syncV1.Invitation = {
    ...{
      id: 'i1',
      role: 'viewer',
      email: '',
      userId: '',
      code: 'secret',
      createdBy: 'u1',
      createdAtMs: 0,
      expiresAtMs: 1_000,
    },
  };
  const ada = {
    ...{ userId: 'u1', email: 'ada@example.org', displayName: '', locale: '', timezone: '' },
    ...{ createdAtMs: 0, lastLoginAtMs: 0, lastLoginPlatform: '' },
  };
  const shown = {
    ...{ id: 'i1', role: 'viewer', code: 'secret', createdBy: 'u1' },
    ...{ createdAt: '1970-01-01T00:00:00.000Z', expiresAt: '1970-01-01T00:00:01.000Z' },
  };

  it('are made, listed and taken back', async () => {
    mesh.sync.createInvitation = async ({ email }) => ({ invitation: { ...made, email } });
    mesh.sync.listInvitations = async () => ({ items: [made], next: '' });
    mesh.sync.revokeInvitation = async () => ({});
    const token = await gateway.login('u1');
    const path = '/v1/spaces/s1/invitations';
    const body = { role: 'viewer', email: 'ada@example.org', expiresInHours: 2 };
    expect(await gateway.json('POST', path, { token, body })).toEqual({
      ...{ status: 201, body: { ...shown, email: 'ada@example.org' } },
    });
    expect(lastCall('createInvitation')?.request).toEqual({ space: 's1', ...body });
    for (const wrong of [
      {},
      { role: 'owner' },
      { role: 'viewer', email: 'x' },
      { role: 'viewer', expiresInHours: 0 },
    ])
      expect((await gateway.json('POST', path, { token, body: wrong })).status).toBe(400);
    expect((await gateway.json('GET', path, { token })).body).toEqual({ items: [shown] });
    expect((await gateway.json('DELETE', `${path}/i1`, { token })).status).toBe(204);
    expect(lastCall('revokeInvitation')?.request).toEqual({ space: 's1', invitationId: 'i1' });
  });

  it('for the person are listed with their space, and can be declined', async () => {
    mesh.sync.listReceivedInvitations = async () => ({
      items: [{ invitation: { ...made, userId: 'u1', role: 'owner' }, space: 's2', title: 'Team' }],
      next: 'more',
    });
    mesh.sync.declineInvitation = async () => ({});
    mesh.user.getProfile = async () => ({ profile: ada });
    const token = await gateway.login('u1');
    expect((await gateway.json('GET', '/v1/invitations?limit=1', { token })).body).toEqual({
      items: [{ ...shown, role: 'owner', space: 's2', title: 'Team' }],
      next: 'more',
    });
    const declined = await gateway.json('POST', '/v1/invitations/decline', {
      token,
      body: { code: 'secret' },
    });
    expect(declined.status).toBe(204);
    expect(lastCall('declineInvitation')?.request).toEqual({ code: 'secret', email: 'ada@example.org' });
  });

  it('are accepted with the address of the person’s own account, whatever the body says', async () => {
    mesh.user.getProfile = async () => ({ profile: ada });
    mesh.sync.readInvitation = async () => ({ title: 'Team', role: 'viewer', expiresAtMs: 1_000 });
    mesh.sync.acceptInvitation = async () => ({
      space: { id: 's2', kind: 'team', title: 'Team', role: 'viewer', epoch: 'e', head: 3, lastSeq: 0 },
    });
    const token = await gateway.login('u1');
    const body = { code: 'secret', email: 'somebody@else.example' };
    expect(await gateway.json('POST', '/v1/invitations/preview', { token, body })).toEqual({
      ...{ status: 200, body: { title: 'Team', role: 'viewer', expiresAt: '1970-01-01T00:00:01.000Z' } },
    });
    expect(await gateway.json('POST', '/v1/invitations/accept', { token, body })).toEqual({
      status: 200,
      body: { id: 's2', kind: 'team', title: 'Team', role: 'viewer', epoch: 'e', head: 3 },
    });
    for (const method of ['readInvitation', 'acceptInvitation'])
      expect(lastCall(method)?.request).toEqual({ code: 'secret', email: 'ada@example.org' });
    expect((await gateway.json('POST', '/v1/invitations/accept', { token, body: {} })).status).toBe(400);
    expect((await gateway.json('POST', '/v1/invitations/accept', { body })).status).toBe(401);
  });
});
