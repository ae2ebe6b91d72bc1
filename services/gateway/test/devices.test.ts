import { AppError } from '@skein/contracts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type FakeMesh, fakeMesh } from './fakes.ts';
import { startGateway, type TestGateway } from './gateway.ts';

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

const synced = {
  device: { id: 'laptop', platform: 'web', name: '' },
  ...{ connected: true, lastSeenMs: 5, sessionIds: ['s1', 's2'], tokenIds: ['t1'] },
};
const named = (id: string) => ({ id, platform: 'ios', name: 'Ada’s phone' });

it('lists the devices that sync and the logins that do not, each once', async () => {
  mesh.sync.listDevices = async () => ({ items: [synced] });
  mesh.auth.listSessions = async () => ({
    items: [
      // Opened its session as the laptop, and named the laptop at sign-in: the laptop.
      { id: 's1', device: undefined, createdAtMs: 0, lastUsedAtMs: 9 },
      { id: 's9', device: named('laptop'), createdAtMs: 0, lastUsedAtMs: 8 },
      { id: 's3', device: named('phone'), createdAtMs: 0, lastUsedAtMs: 7 },
      { id: 's4', device: named('phone'), createdAtMs: 0, lastUsedAtMs: 6 },
      { id: 's5', device: undefined, createdAtMs: 0, lastUsedAtMs: 4 },
    ],
  });
  const time = (ms: number) => new Date(ms).toISOString();
  expect(await gateway.json('GET', '/v1/me/devices', { token: await gateway.login('u1') })).toEqual({
    status: 200,
    body: {
      items: [
        { id: 'laptop', platform: 'web', connected: true, lastSeen: time(5) },
        { id: 'phone', platform: 'ios', name: 'Ada’s phone', connected: false, lastSeen: time(7) },
        { id: 'session-s5', platform: 'unknown', connected: false, lastSeen: time(4) },
      ],
    },
  });
});

it('ends everything a device was seen with, also what never named it', async () => {
  mesh.sync.listDevices = async ({ deviceId }) => ({ items: deviceId === 'laptop' ? [synced] : [] });
  mesh.auth.revokeDevice = async () => ({});
  mesh.sync.removeDevice = async ({ deviceId }) => {
    if (deviceId !== 'laptop') throw new AppError('not_found');
    return {};
  };
  const token = await gateway.login('u1');
  const remove = async (id: string) => {
    const { status } = await gateway.ask('DELETE', `/v1/me/devices/${id}`, { token });
    return { status, revoked: mesh.calls('revokeDevice').at(-1)?.request };
  };
  expect(await remove('laptop')).toEqual({
    status: 204,
    revoked: { deviceId: 'laptop', sessionIds: ['s1', 's2'], tokenIds: ['t1'] },
  });
  expect(await remove('phone')).toEqual({
    status: 204,
    revoked: { deviceId: 'phone', sessionIds: [], tokenIds: [] },
  });
  expect(await remove('session-s5')).toEqual({
    status: 204,
    revoked: { deviceId: 'session-s5', sessionIds: ['s5'], tokenIds: [] },
  });
});

it('shows the notices of the person, newest first', async () => {
  const data = { platform: 'ios', at: 2_000 };
  mesh.user.listNotices = async () => ({
    items: [{ id: 'n1', kind: 'unusual_login', timeMs: 2_000, dataJson: JSON.stringify(data) }],
    next: 'more',
  });
  const token = await gateway.login('u1');
  expect(await gateway.json('GET', '/v1/me/notices?limit=1', { token })).toEqual({
    status: 200,
    body: {
      items: [{ id: 'n1', kind: 'unusual_login', time: '1970-01-01T00:00:02.000Z', data }],
      next: 'more',
    },
  });
  expect(mesh.calls('listNotices').at(-1)?.request).toEqual({ limit: 1, cursor: '' });
});
