import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError } from '@skein/contracts';
import { must } from '@skein/service-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FakeMesh, fakeMesh } from './fakes.ts';
import { startGateway, type TestGateway } from './gateway.ts';

/** The settings of a running gateway, changed by a file. */
describe('settings of a running gateway', () => {
  let mesh: FakeMesh;
  let on: TestGateway;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'skein-gateway-config-'));
    mesh = await fakeMesh();
    on = await startGateway(mesh, {
      CONFIG_URL: `file:${folder}/config.yaml`,
      PUBLIC_URL: 'http://skein.example.org',
    });
  });
  afterAll(async () => {
    await on.stop();
    await mesh.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const set = (settings: object) =>
    writeFile(join(folder, 'config.yaml'), JSON.stringify({ gateway: settings }));
  const client = async (headers: Record<string, string> = {}) => {
    const response = await on.ask('GET', '/v1/config/client', { headers });
    const text = await response.text();
    return {
      status: response.status,
      tag: response.headers.get('etag') ?? '',
      cache: response.headers.get('cache-control'),
      body: (text === '' ? undefined : JSON.parse(text)) as Record<string, unknown> | undefined,
    };
  };

  it('reach clients, who are told when they have them already', async () => {
    const before = await client();
    expect(before).toMatchObject({
      status: 200,
      cache: 'no-cache',
      body: {
        protocol: 1,
        registrationOpen: true,
        features: [],
        limits: { messagesPerSecond: 20, messagesBurst: 40, socketsPerPerson: 20 },
      },
    });
    expect(await client({ 'if-none-match': `"other", W/${before.tag}` })).toMatchObject({
      status: 304,
      body: undefined,
    });
    await set({ MESSAGES_PER_SECOND: 7, CLIENT_FEATURES: ['voice', 'files'] });
    await expect
      .poll(async () => (await client({ 'if-none-match': before.tag })).body)
      .toMatchObject({ features: ['voice', 'files'], limits: { messagesPerSecond: 7 } });
  });

  it('open and close registration', async () => {
    const register = () =>
      on.json('POST', '/v1/auth/register', { body: { email: 'a@example.org', password: 'long enough 1' } });
    await set({ REGISTRATION_OPEN: false });
    await expect.poll(async () => (await client()).body?.['registrationOpen']).toBe(false);
    expect(await register()).toMatchObject({
      status: 403,
      body: { code: 'forbidden', detail: 'Nobody can make an account here at the moment' },
    });
    await set({});
    await expect.poll(async () => (await register()).status).not.toBe(403);
  });

  it('limit requests and origins anew', async () => {
    const token = await on.login('u1');
    const origin = 'https://app.example.net';
    const asks = async () => (await on.ask('GET', '/v1/health', { token, headers: { origin } })).status;
    expect(await asks()).toBe(403);
    await set({ CORS_ORIGINS: [origin] });
    await expect.poll(asks).toBe(200);
    expect((await client()).body?.['limits']).toMatchObject({ messagesPerSecond: 20 });
  });

  it('are told to operators, with those of the other services and what was refused', async () => {
    must(mesh.configs['auth'], 'auth is faked').getConfig = async () => ({
      instance: 'auth-1',
      settings: [
        { name: 'AUTH_ISSUER', value: 'skein', source: 'default', overridden: '', live: false },
        { name: 'LOG_LEVEL', value: 'info', source: 'environment', overridden: 'all', live: true },
      ],
      refused: [],
    });
    must(mesh.configs['user'], 'user is faked').getConfig = async () => {
      throw new AppError('unavailable', 'The service is away');
    };
    await set({ MESSAGES_PER_SECOND: 0, MESSAGES_BURST: 5, REQUESTS_PER_SECOND: 1 });
    await expect.poll(async () => (await client()).body?.['limits']).toMatchObject({ messagesBurst: 5 });
    const { status, body } = await on.json('GET', '/v1/admin/config', {
      token: await on.apiToken('root', 'operator'),
    });
    expect(status).toBe(200);
    const { items } = body as {
      items: { service: string; settings: { name: string; value: string; source: string }[] }[];
    };
    expect(items.map(({ service }) => service)).toEqual(['gateway', 'agent', 'auth', 'session-sync', 'user']);
    expect(items[0]).toMatchObject({
      refused: ['gateway: MESSAGES_PER_SECOND must be a whole number from 1 to 100000, not "0"'],
    });
    const gateway = Object.fromEntries((items[0]?.settings ?? []).map(({ name, ...rest }) => [name, rest]));
    expect(gateway['MESSAGES_PER_SECOND']).toEqual({ value: '20', source: 'default', live: true });
    expect(gateway['MESSAGES_BURST']).toEqual({ value: '5', source: 'gateway', live: true });
    expect(gateway['REQUESTS_PER_SECOND'], 'the environment wins, and says so').toEqual({
      value: '1000',
      source: 'environment',
      overridden: 'gateway',
      live: true,
    });
    expect(gateway['INTERNAL_SECRET']).toEqual({ value: 'hidden', source: 'environment', live: false });
    expect(JSON.stringify(body)).not.toContain('a secret of the test mesh');
    expect(items[2]).toMatchObject({
      instance: 'auth-1',
      settings: [{ name: 'AUTH_ISSUER' }, { overridden: 'all' }],
    });
    expect(items[4]).toMatchObject({ settings: [], error: expect.stringContaining('away') });
  });

  it('are told to nobody else', async () => {
    expect((await on.json('GET', '/v1/admin/config', { token: await on.login('u1') })).status).toBe(403);
    expect((await on.json('GET', '/v1/admin/config')).status).toBe(401);
  });
});
