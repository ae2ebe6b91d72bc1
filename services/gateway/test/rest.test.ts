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

const account = { id: 'u1', email: 'ada@example.org', displayName: 'Ada', createdAtMs: 1_700_000_000_000 };
const tokens = { accessToken: 'access', refreshToken: 'refresh', expiresInS: 600 };
const signedIn = {
  user: { id: 'u1', email: 'ada@example.org', displayName: 'Ada', createdAt: '2023-11-14T22:13:20.000Z' },
  accessToken: 'access',
  refreshToken: 'refresh',
  expiresIn: 600,
};
const space: syncV1.Space = {
  ...{ id: 's1', kind: 'personal', title: 'Mine', role: 'owner', epoch: 'e1', head: 7, lastSeq: 0 },
};

const lastCall = (method: string) => mesh.calls(method).at(-1);

describe('accounts', () => {
  it('registers with the address of the client and answers 201', async () => {
    mesh.auth.register = async () => ({ account, tokens });
    const answer = await gateway.json('POST', '/v1/auth/register', {
      body: { email: 'ada@example.org', password: 'correct horse', displayName: 'Ada' },
    });
    expect(answer).toEqual({ status: 201, body: signedIn });
    expect(lastCall('register')?.request).toEqual({
      email: 'ada@example.org',
      password: 'correct horse',
      displayName: 'Ada',
      remoteAddress: '127.0.0.1',
      device: undefined,
    });
  });

  it('passes on that an address is taken', async () => {
    mesh.auth.register = async () => {
      throw new AppError('email_taken');
    };
    const body = { email: 'ada@example.org', password: 'correct horse' };
    expect(await gateway.json('POST', '/v1/auth/register', { body })).toEqual({
      status: 409,
      body: problem(409, 'email_taken', 'This address is taken'),
    });
  });

  it('signs in from a device', async () => {
    mesh.auth.login = async () => ({ account, tokens });
    const body = { email: 'ada@example.org', password: 'x', device: { id: 'd1', platform: 'web' } };
    expect(await gateway.json('POST', '/v1/auth/login', { body })).toEqual({ status: 200, body: signedIn });
    expect(lastCall('login')?.request).toMatchObject({ device: { id: 'd1', platform: 'web', name: '' } });
  });

  it('gives refresh the idempotency key, so that a retry gets the same pair', async () => {
    mesh.auth.refresh = async () => ({ account, tokens });
    const ask = { body: { refreshToken: 'r' }, headers: { 'idempotency-key': 'k1' } };
    expect((await gateway.json('POST', '/v1/auth/refresh', ask)).status).toBe(200);
    expect(lastCall('refresh')).toMatchObject({
      request: { refreshToken: 'r', idempotencyKey: 'k1' },
      ctx: { idempotencyKey: 'k1' },
    });
  });

  it('logs out with and without a body', async () => {
    mesh.auth.logout = async () => ({});
    const token = await gateway.login('u1');
    expect((await gateway.ask('POST', '/v1/auth/logout', { token })).status).toBe(204);
    expect(lastCall('logout')).toMatchObject({
      request: { everywhere: false, tokens: false },
      ctx: { caller: 'gateway', actor: { userId: 'u1', sessionId: 'sid-u1' } },
    });
    await gateway.ask('POST', '/v1/auth/logout', { token, body: { everywhere: true, tokens: true } });
    expect(lastCall('logout')?.request).toEqual({ everywhere: true, tokens: true });
    const halfway = await gateway.ask('POST', '/v1/auth/logout', { token, body: { tokens: true } });
    expect(halfway.status).toBe(400);
  });

  it('makes tickets and API tokens, and lists and revokes the latter', async () => {
    const apiToken = { id: 't1', name: 'ci', scopes: ['session'], createdAtMs: 0, expiresAtMs: 0 };
    mesh.auth.createTicket = async () => ({ ticket: 'once', expiresInS: 30 });
    mesh.auth.createApiToken = async () => ({ apiToken, token: 'shown-once' });
    mesh.auth.listApiTokens = async () => ({ items: [apiToken], next: 'more' });
    mesh.auth.revokeApiToken = async () => ({});
    const token = await gateway.login('u1');
    const shown = { id: 't1', name: 'ci', scopes: ['session'], createdAt: '1970-01-01T00:00:00.000Z' };
    expect(await gateway.json('POST', '/v1/auth/tickets', { token })).toEqual({
      status: 201,
      body: { ticket: 'once', expiresIn: 30 },
    });
    const body = { name: 'ci', scopes: ['session'], expiresAt: '2030-01-01T00:00:00Z' };
    expect(await gateway.json('POST', '/v1/auth/tokens', { token, body })).toEqual({
      status: 201,
      body: { ...shown, token: 'shown-once' },
    });
    expect(lastCall('createApiToken')?.request).toMatchObject({ expiresAtMs: Date.UTC(2030, 0, 1) });
    expect(await gateway.json('GET', '/v1/auth/tokens?limit=1', { token })).toEqual({
      status: 200,
      body: { items: [shown], next: 'more' },
    });
    expect((await gateway.ask('DELETE', '/v1/auth/tokens/t1', { token })).status).toBe(204);
  });
});

describe('the person', () => {
  it('reads and changes the profile', async () => {
    const profile = {
      ...{ userId: 'u1', email: 'ada@example.org', displayName: 'Ada', locale: 'en', timezone: 'UTC' },
      ...{ createdAtMs: 0, lastLoginAtMs: 1_000, lastLoginPlatform: 'web' },
    };
    mesh.user.getProfile = async () => ({ profile });
    mesh.user.updateProfile = async ({ displayName }) => ({
      profile: { ...profile, displayName: displayName ?? profile.displayName, lastLoginAtMs: 0 },
    });
    const token = await gateway.login('u1');
    const shown = {
      ...{ id: 'u1', email: 'ada@example.org', displayName: 'Ada', locale: 'en', timezone: 'UTC' },
      createdAt: '1970-01-01T00:00:00.000Z',
    };
    expect(await gateway.json('GET', '/v1/me', { token })).toEqual({
      status: 200,
      body: { ...shown, lastLogin: { time: '1970-01-01T00:00:01.000Z', platform: 'web' } },
    });
    expect(await gateway.json('PATCH', '/v1/me', { token, body: { displayName: 'Countess' } })).toEqual({
      status: 200,
      body: { ...shown, displayName: 'Countess' },
    });
    expect(lastCall('updateProfile')?.request).toEqual({ displayName: 'Countess' });
  });

  it('replaces preferences as one mutation of changed keys, and again when another device was faster', async () => {
    const value = { theme: 'dark', font: 12 };
    let version = 3;
    mesh.sync.getDocument = async () => ({
      document: {
        ...{ collection: 'user_preferences', id: 'current', version, valueJson: JSON.stringify(value) },
        ...{ hash: '', offset: 1, updatedAtMs: 0 },
      },
    });
    mesh.sync.openSession = async () => ({ spaces: [{ ...space, lastSeq: version }] });
    const sent: unknown[] = [];
    mesh.sync.mutate = async ({ mutationsJson, origin }) => {
      sent.push({ device: origin?.device?.id, mutations: JSON.parse(mutationsJson) as unknown });
      version += 1;
      if (version === 4) throw new AppError('seq_reused');
      return { resultsJson: '[{"seq":5,"outcome":"applied","version":5}]', lastSeq: 5, deliveredTo: 0 };
    };
    const token = await gateway.login('u1');
    expect(await gateway.json('GET', '/v1/me/preferences', { token })).toEqual({ status: 200, body: value });
    const body = { theme: 'light' };
    expect(await gateway.json('PUT', '/v1/me/preferences', { token, body })).toEqual({ status: 200, body });
    const mutation = {
      ...{ collection: 'user_preferences', id: 'current' },
      ops: [
        { op: 'unset', path: ['font'] },
        { op: 'set', path: ['theme'], value: 'light' },
      ],
      hlc: expect.stringMatching(/^[0-9a-f]{12}-0000-rest-sid-u1$/),
    };
    expect(sent).toEqual([
      { device: 'rest-sid-u1', mutations: [{ ...mutation, seq: 4, baseVersion: 3 }] },
      { device: 'rest-sid-u1', mutations: [{ ...mutation, seq: 5, baseVersion: 4 }] },
    ]);
  });

  it('has no preferences before any were set', async () => {
    mesh.sync.getDocument = async () => {
      throw new AppError('not_found');
    };
    const token = await gateway.login('u1');
    expect(await gateway.json('GET', '/v1/me/preferences', { token })).toEqual({ status: 200, body: {} });
  });

  it('chooses persona and memory', async () => {
    mesh.sync.changeSession = async ({ persona, memoryEnabled }) => ({
      ...{ persona: persona ?? 'cruz', memoryEnabled: memoryEnabled ?? true },
      ...{ offset: persona ? 9 : 0, deliveredTo: 0 },
    });
    const token = await gateway.login('u1');
    expect(await gateway.json('PUT', '/v1/me/persona', { token, body: { persona: 'coordinator' } })).toEqual({
      status: 200,
      body: { persona: 'coordinator', memoryEnabled: true, offset: 9 },
    });
    expect(await gateway.json('PUT', '/v1/me/memory', { token, body: { enabled: false } })).toEqual({
      status: 200,
      body: { persona: 'cruz', memoryEnabled: false },
    });
  });
});

describe('the gateway itself', () => {
  it('publishes the keys and where they are', async () => {
    const answer = await gateway.ask('GET', '/.well-known/jwks.json');
    expect(answer.headers.get('cache-control')).toBe('public, max-age=600');
    expect(await answer.json()).toEqual({ keys: [mesh.key.jwk] });
    const { body } = await gateway.json('GET', '/.well-known/openid-configuration');
    expect(body).toMatchObject({ issuer: 'skein', jwks_uri: expect.stringMatching(/jwks\.json$/) });
  });

  it('is healthy and ready, with details for operators only', async () => {
    expect(await gateway.json('GET', '/healthz')).toEqual({ status: 200, body: { status: 'ok' } });
    expect(await gateway.json('GET', '/readyz')).toEqual({ status: 200, body: { status: 'ready' } });
    expect((await gateway.json('GET', '/v1/health')).body).toEqual({ status: 'ok' });
    const person = await gateway.login('u1');
    expect((await gateway.json('GET', '/v1/health', { token: person })).body).toEqual({ status: 'ok' });
    const operator = await gateway.apiToken('root', 'operator');
    expect((await gateway.json('GET', '/v1/health', { token: operator })).body).toEqual({
      status: 'ok',
      details: { instance: expect.any(String), uptimeMs: expect.any(Number), keysAgeMs: expect.any(Number) },
    });
  });

  it('wraps any GET for classic clients, and says success: false beside a problem', async () => {
    const headers = { accept: 'application/vnd.skein.classic+json' };
    const answer = await gateway.ask('GET', '/healthz', { headers });
    expect(answer.headers.get('content-type')).toBe('application/vnd.skein.classic+json; charset=utf-8');
    expect(await answer.json()).toEqual({ success: true, data: { status: 'ok' } });
    expect((await gateway.json('GET', '/v1/me', { headers })).body).toEqual({
      success: false,
      ...problem(401, 'unauthenticated', 'Sign in first'),
    });
  });

  it('carries the security headers and the id of the request on every answer', async () => {
    const headers = { 'x-request-id': 'my-1' };
    const { host } = new URL(gateway.url);
    const answer = await gateway.ask('GET', '/v1/nothing', { headers });
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'content-security-policy':
        `default-src 'self'; connect-src 'self' ws://${host} wss://${host}; img-src 'self' data:; style-src 'self'; ` +
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'x-request-id': 'my-1',
    });
    expect(answer.headers.has('strict-transport-security')).toBe(false);
    expect(answer.headers.has('x-powered-by')).toBe(false);
  });

  it('does not take a request id that could break a log', async () => {
    const answer = await gateway.ask('GET', '/healthz', { headers: { 'x-request-id': 'a b\tc' } });
    expect(answer.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('serves a page with the API where no console is built', async () => {
    const page = await gateway.ask('GET', '/', { headers: { accept: 'text/html' } });
    expect(page.status).toBe(200);
    expect(await page.text()).toContain('href="/docs"');
    for (const [path, type] of [
      ['/docs', 'text/html'],
      ['/docs/docs.js', 'text/javascript'],
      ['/docs/docs.css', 'text/css'],
    ] as const) {
      const file = await gateway.ask('GET', path);
      expect([file.status, file.headers.get('content-type')]).toEqual([200, `${type}; charset=utf-8`]);
    }
  });
});
