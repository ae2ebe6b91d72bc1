import { testCluster } from '@skein/postgres/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import { postgresPlaces } from '../src/adapters/postgres-accounts.ts';
import { pruneExpired } from '../src/adapters/postgres-prune.ts';
import {
  call,
  codeOf,
  device,
  fakeClock,
  loggedIn,
  openedDatabase,
  plainHasher,
  refreshed,
  registered,
  startAuth,
} from './fixture.ts';

const day = 86_400_000;

describe('pruning', () => {
  it('forgets what is past its time, and keeps what still counts', async () => {
    const clock = fakeClock();
    const { client, keyring, database } = await startAuth({ over: { clock, hasher: plainHasher } });
    const db = await openedDatabase(database.url);
    const counts = async () => {
      const tables = ['accounts', 'sessions', 'refresh_tokens', 'tickets', 'api_tokens', 'revocations'];
      const rows = await Promise.all(tables.map((table) => db.query(`select 1 from auth.${table}`)));
      return Object.fromEntries(tables.map((table, n) => [table, rows[n]?.length]));
    };
    const { email, actor, tokens } = await registered(client, { from: device('laptop'), atMs: clock.now() });
    await refreshed(client, tokens.refreshToken);
    await client.createTicket({}, call({ actor }));
    const soon = { name: 'soon over', scopes: ['session'], expiresAtMs: clock.now() + day };
    await client.createApiToken(soon, call({ actor }));
    await client.createApiToken({ ...soon, name: 'for ever', expiresAtMs: 0 }, call({ actor }));
    await client.logout({ everywhere: true }, call({ actor }));
    const before = await counts();
    expect(before).toEqual({
      ...{ accounts: 1, sessions: 1, refresh_tokens: 2, tickets: 1, api_tokens: 2, revocations: 1 },
    });
    await pruneExpired(db, clock.now());
    expect(await counts()).toEqual(before);

    clock.advance(60 * day);
    await keyring.renew();
    const later = await loggedIn(client, email, device('laptop'), clock.now());
    await pruneExpired(db, clock.now());
    expect(await counts()).toEqual({
      ...{ accounts: 1, sessions: 1, refresh_tokens: 1, tickets: 0, api_tokens: 1, revocations: 0 },
    });
    await refreshed(client, later.tokens.refreshToken);
    expect(await codeOf(refreshed(client, tokens.refreshToken))).toBe('unauthenticated');
  });
});

describe('places of login', () => {
  it('are remembered up to two hundred of a person, those of the latest logins', async () => {
    const { client, database } = await startAuth({ over: { hasher: plainHasher } });
    const { account } = await registered(client);
    const places = postgresPlaces(await openedDatabase(database.url));
    for (let n = 0; n <= 200; n += 1) await places.see(account.id, `device:${n}`, n);
    expect(await places.see(account.id, 'device:1', 300)).toMatchObject({ thisPlace: true });
    expect(await places.see(account.id, 'device:0', 301)).toMatchObject({ thisPlace: false });
  });
});

describe('while the database is away', () => {
  it('the keys are published all the same, and nobody is told that their token is bad', async () => {
    const cluster = await testCluster({ maxConnections: 20 });
    onTestFinished(() => cluster.stop());
    const { client } = await startAuth({ database: cluster, over: { hasher: plainHasher } });
    const { tokens, email } = await registered(client);
    const before = await client.getJwks({}, call());
    await cluster.stop();
    expect(await client.getJwks({}, call())).toEqual(before);
    expect(await codeOf(refreshed(client, tokens.refreshToken))).toBe('unavailable');
    expect(await codeOf(loggedIn(client, email))).toBe('unavailable');
  });
});
