import { AppError, type DomainEvent } from '@skein/contracts';
import { postgresBus } from '@skein/events';
import { createLogger } from '@skein/telemetry';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  call,
  codeOf,
  device,
  loggedIn,
  newEmail,
  openedDatabase,
  password,
  plainHasher,
  registered,
  startAuth,
  startPeers,
} from './fixture.ts';

const over = { hasher: plainHasher };

/** The service, with the others that a registration needs. */
const start = async (refuse?: Parameters<typeof startPeers>[0]) => {
  const peers = await startPeers(refuse);
  onTestFinished(() => peers.stop());
  return { peers, ...(await startAuth({ over, env: { DISCOVERY_URL: peers.discoveryUrl } })) };
};

/** What the bus delivers to another service, from its first event on. */
const delivered = async (url: string) => {
  const database = await openedDatabase(url);
  const bus = postgresBus({
    database,
    instance: 'test',
    log: createLogger({ service: 'test', instance: 'test', level: 'silent' }),
  });
  await bus.run();
  const events: DomainEvent[] = [];
  const subscription = bus.subscribe({
    consumer: 'test',
    types: ['user.registered', 'user.login'],
    handle: async (event) => {
      events.push(event);
    },
  });
  await subscription.run();
  return {
    events,
    stop: async () => {
      await subscription.stop();
      await bus.stop();
    },
  };
};

describe('events', () => {
  it('tell of a registration and of its login, with ids and nothing a person has typed', async () => {
    const { client, database, peers } = await start();
    const { events, stop } = await delivered(database.url);
    const { account, actor, email } = await registered(client, { from: device('phone', 'ios') });
    await expect.poll(() => events.length, { timeout: 5_000 }).toBe(2);
    const common = { source: 'auth', subject: account.id, correlationId: expect.any(String) };
    // The registration is told once profile and space are there, which is after the login.
    expect(peers.asked).toEqual([
      ['getProfile', account.id],
      ['getSpace', account.id],
    ]);
    expect(events.toSorted((a, b) => b.type.localeCompare(a.type))).toMatchObject([
      { ...common, type: 'user.registered', data: { userId: account.id, registeredAt: account.createdAtMs } },
      {
        ...common,
        type: 'user.login',
        data: {
          userId: account.id,
          sessionId: actor.sessionId,
          deviceId: 'phone',
          platform: 'ios',
          unusual: false,
        },
      },
    ]);
    const text = JSON.stringify(events);
    for (const typed of [email, password, 'Ada', '192.0.2.1']) expect(text).not.toContain(typed);
    await stop();
  });

  it('tell of a registration once, when what it needs is back; until then the account works', async () => {
    let away = true;
    const asked: string[] = [];
    const { client, database } = await start((method) => {
      asked.push(method);
      // A process that is not there, and rules of a mesh that are wrong.
      if (away && method === 'getSpace')
        throw new AppError(asked.length % 2 === 0 ? 'unavailable' : 'forbidden');
    });
    const { events, stop } = await delivered(database.url);
    const { account, email } = await registered(client);
    await expect.poll(() => asked.filter((method) => method === 'getSpace').length).toBeGreaterThan(2);
    await loggedIn(client, email);
    await expect.poll(() => events.length).toBe(2);
    expect(events.map(({ type }) => type)).toEqual(['user.login', 'user.login']);
    expect(asked).not.toContain('eraseUser');
    away = false;
    await expect.poll(() => events.length, { timeout: 30_000 }).toBe(3);
    expect(events[2]).toMatchObject({ type: 'user.registered', subject: account.id });
    await stop();
  }, 60_000);

  it('flag a login from a place the person never signed in from', async () => {
    const { client, database } = await start();
    const { events, stop } = await delivered(database.url);
    // A registration that says nothing of its place is not compared with.
    const { email } = await registered(client);
    await loggedIn(client, email, device('laptop'));
    await loggedIn(client, email, device('laptop'));
    await loggedIn(client, email, device('phone'));
    await loggedIn(client, email, device('phone'));
    await loggedIn(client, email, device('', 'cli'));
    await loggedIn(client, email);
    await loggedIn(client, email, device('', 'cli'));
    await expect.poll(() => events.length, { timeout: 5_000 }).toBe(9);
    const logins = events.flatMap(({ type, data }) =>
      type === 'user.login' && 'unusual' in data ? [data] : [],
    );
    expect(logins.map(({ deviceId, platform, unusual }) => [deviceId, platform, unusual])).toEqual([
      [undefined, 'unknown', false],
      ['laptop', 'web', false],
      ['laptop', 'web', false],
      ['phone', 'web', true],
      ['phone', 'web', false],
      [undefined, 'cli', true],
      [undefined, 'unknown', true],
      [undefined, 'cli', false],
    ]);
    await stop();
  });

  it('flag a login without a device from a network the person never signed in from', async () => {
    const { client, database } = await start();
    const { events, stop } = await delivered(database.url);
    const { email } = await registered(client, { from: device('', 'cli') });
    for (const remoteAddress of ['192.0.2.99', '198.51.100.1', '198.51.100.2'])
      await client.login({ email, password, device: device('', 'cli'), remoteAddress }, call());
    await expect.poll(() => events.length, { timeout: 5_000 }).toBe(5);
    const logins = events.flatMap(({ data }) => ('unusual' in data ? [data.unusual] : []));
    expect(logins).toEqual([false, false, true, false]);
    await stop();
  });

  it('do not tell of what did not happen', async () => {
    const { client, database } = await start();
    const { events, stop } = await delivered(database.url);
    const { email } = await registered(client);
    const request = { email, password, displayName: '', device: undefined, remoteAddress: '' };
    expect(await codeOf(client.register(request, call()))).toBe('email_taken');
    expect(await codeOf(client.login({ ...request, password: 'not it at all' }, call()))).toBe(
      'invalid_credentials',
    );
    await registered(client);
    await expect.poll(() => events.length, { timeout: 5_000 }).toBe(4);
    expect(events.filter(({ type }) => type === 'user.registered')).toHaveLength(2);
    expect(newEmail()).not.toBe(email);
    await stop();
  });
});
