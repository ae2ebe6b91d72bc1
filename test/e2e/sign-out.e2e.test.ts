import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { newPerson, type Person, type TestMesh, testMesh } from './support/mesh.ts';

/** How soon a socket closes whose login or token has ended. */
const promisedMs = 5_000;

interface DeviceState {
  readonly id: string;
  readonly connected: boolean;
}

let on: TestMesh;
/** Signed in without naming a device, as the samples in the docs do. */
let ann: Person;

beforeAll(async () => {
  // With two replicas of each service: what one ended has to be refused by the other.
  on = await testMesh({ mesh: true });
}, 180_000);

afterAll(() => on?.[Symbol.asyncDispose](), 90_000);

const call = async (method: string, path: string, token: string, body?: unknown) => {
  const response = await fetch(`${on.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown> };
};

const signIn = async () => {
  const { email, password } = ann;
  const { status, body } = await call('POST', '/v1/auth/login', '', { email, password });
  expect(status).toBe(200);
  return { access: String(body['accessToken']), refresh: String(body['refreshToken']) };
};

const devices = async (token: string): Promise<readonly DeviceState[]> =>
  (await call('GET', '/v1/me/devices', token)).body['items'] as DeviceState[];

/** A socket that says hello once; what it was told first, and how it closes. */
const open = (device: string, token: string) => {
  const socket = new WebSocket(`${on.url.replace('http', 'ws')}/v1/connect`);
  const closed = new Promise<{ code: number; atMs: number }>((resolve) => {
    socket.once('close', (code) => resolve({ code, atMs: performance.now() }));
  });
  const first = new Promise<string>((resolve, reject) => {
    socket.once('error', reject);
    socket.once('message', (bytes) => resolve(String((JSON.parse(String(bytes)) as { type: string }).type)));
    socket.once('close', (code) => resolve(`closed ${code}`));
  });
  socket.once('open', () =>
    socket.send(JSON.stringify({ type: 'hello', v: 1, token, device: { id: device, platform: 'cli' } })),
  );
  return { first, closed };
};

/** A gateway hears of an end within a second. */
const refused = (token: string) =>
  expect.poll(async () => (await call('GET', '/v1/me', token)).status, { timeout: promisedMs }).toBe(401);

/** Removes a device from elsewhere and waits for its socket; milliseconds from the request until it closed. */
const removed = async (device: string, elsewhere: string, socket: ReturnType<typeof open>) => {
  const askedAt = performance.now();
  expect((await call('DELETE', `/v1/me/devices/${device}`, elsewhere)).status).toBe(204);
  const { code, atMs } = await socket.closed;
  expect(code).toBe(4001);
  return atMs - askedAt;
};

describe('removing a device', () => {
  it('closes the socket of a login that named no device, and refuses its tokens from then on', async () => {
    ann = await newPerson(on.url);
    const [mine, elsewhere] = [await signIn(), await signIn()];
    const socket = open('laptop', mine.access);
    expect(await socket.first).toBe('welcome');
    await expect
      .poll(() => devices(elsewhere.access))
      .toContainEqual(expect.objectContaining({ id: 'laptop', connected: true }));

    expect(await removed('laptop', elsewhere.access, socket)).toBeLessThan(promisedMs);
    await refused(mine.access);
    expect((await call('POST', '/v1/auth/refresh', '', { refreshToken: mine.refresh })).status).toBe(401);
    expect(await open('laptop', mine.access).first).not.toBe('welcome');
    expect((await devices(elsewhere.access)).map(({ id }) => id)).not.toContain('laptop');
    expect((await call('GET', '/v1/me', elsewhere.access)).status).toBe(200);
  }, 60_000);

  it('revokes the API token a program connected with', async () => {
    const elsewhere = await signIn();
    const made = await call('POST', '/v1/auth/tokens', elsewhere.access, {
      name: 'bot',
      scopes: ['session'],
    });
    const token = String(made.body['token']);
    const socket = open('bot', token);
    expect(await socket.first).toBe('welcome');
    expect(await removed('bot', elsewhere.access, socket)).toBeLessThan(promisedMs);
    await refused(token);
  }, 60_000);

  it('signs out a login that never connected, listed by its own id', async () => {
    const elsewhere = await signIn();
    const before = (await devices(elsewhere.access)).map(({ id }) => id);
    const quiet = await signIn();
    const now = (await devices(elsewhere.access)).map(({ id }) => id);
    const [added = ''] = now.filter((id) => !before.includes(id));
    expect(added).toMatch(/^session-/);
    expect((await call('DELETE', `/v1/me/devices/${added}`, elsewhere.access)).status).toBe(204);
    await refused(quiet.access);
    expect((await call('POST', '/v1/auth/refresh', '', { refreshToken: quiet.refresh })).status).toBe(401);
  }, 60_000);
});
