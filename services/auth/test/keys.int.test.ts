import { testDatabase } from '@skein/postgres/testing';
import { decodeProtectedHeader } from 'jose';
import { describe, expect, it } from 'vitest';
import {
  call,
  codeOf,
  fakeClock,
  loggedIn,
  openedDatabase,
  plainHasher,
  refreshed,
  registered,
  startAuth,
  verifyToken,
} from './fixture.ts';

const day = 86_400_000;
const minute = 60_000;

const keysOf = async (client: Awaited<ReturnType<typeof startAuth>>['client']) => {
  const { jwksJson } = await client.getJwks({}, call());
  return (JSON.parse(jwksJson) as { keys: Record<string, string>[] }).keys;
};

describe('signing keys', () => {
  it('are published by their public halves alone', async () => {
    const { client } = await startAuth();
    expect(await keysOf(client)).toEqual([
      {
        kty: 'OKP',
        crv: 'Ed25519',
        alg: 'EdDSA',
        use: 'sig',
        kid: expect.any(String),
        x: expect.stringMatching(/^[\w-]{43}$/),
      },
    ]);
  });

  it('are one key although two replicas start at once, and each verifies what the other signs', async () => {
    const database = await testDatabase();
    const over = { hasher: plainHasher };
    const [one, two] = await Promise.all([startAuth({ database, over }), startAuth({ database, over })]);
    expect(await keysOf(one.client)).toEqual(await keysOf(two.client));
    expect(await keysOf(one.client)).toHaveLength(1);
    const { email, tokens } = await registered(one.client);
    await verifyToken(two.client, tokens.accessToken);
    await loggedIn(two.client, email);
  });

  it('rotate under use: old and new tokens verify to their last second, for verifiers that cache too', async () => {
    const clock = fakeClock();
    const startMs = clock.now();
    const { client, keyring } = await startAuth({ over: { clock, hasher: plainHasher } });
    const { email } = await registered(client, { atMs: startMs });
    const signed = async () => {
      const { tokens } = await loggedIn(client, email, undefined, clock.now());
      return {
        text: tokens.accessToken,
        kid: decodeProtectedHeader(tokens.accessToken).kid ?? '',
        atMs: clock.now(),
      };
    };
    const signers: string[] = [];
    for (const rotationMs of [30, 60, 90].map((days) => startMs + days * day)) {
      clock.advance(rotationMs - day - clock.now());
      await keyring.renew();
      expect(await keysOf(client)).toHaveLength(2);

      clock.advance(day - 5 * minute);
      const cached = (await keysOf(client)).map(({ kid }) => kid);
      const before = await signed();
      clock.advance(9 * minute);
      // Nobody has fetched or renewed anything since.
      const after = await signed();
      expect(after.kid).not.toBe(before.kid);
      expect(cached).toEqual(expect.arrayContaining([before.kid, after.kid]));
      await keyring.renew();
      for (const { text, atMs } of [before, after])
        await verifyToken(client, text, atMs + 10 * minute - 1_000);
      clock.advance(10 * minute - 1_000);
      for (const { text } of [before, after]) await verifyToken(client, text, after.atMs);
      signers.push(before.kid, after.kid);

      clock.advance(day);
      await keyring.renew();
      expect((await keysOf(client)).map(({ kid }) => kid)).toEqual([after.kid]);
    }
    expect(new Set(signers).size).toBe(4);
  });

  it('that signed an API token stay published as long as the token is good', async () => {
    const clock = fakeClock();
    const { client, keyring } = await startAuth({ over: { clock, hasher: plainHasher } });
    const { actor } = await registered(client, { atMs: clock.now() });
    const { token } = await client.createApiToken(
      { name: 'bot', scopes: ['session'], expiresAtMs: clock.now() + 365 * day },
      call({ actor }),
    );
    clock.advance(364 * day);
    await keyring.renew();
    await verifyToken(client, token, clock.now(), 'api+jwt');
    clock.advance(2 * day);
    await keyring.renew();
    expect((await keysOf(client)).map(({ kid }) => kid)).not.toContain(decodeProtectedHeader(token).kid);
  });

  it('let a refresh be repeated across a rotation, with the same pair', async () => {
    const clock = fakeClock();
    const { client, keyring } = await startAuth({ over: { clock, hasher: plainHasher } });
    const { email } = await registered(client, { atMs: clock.now() });
    clock.advance(30 * day - 45_000);
    await keyring.renew();
    const { tokens } = await loggedIn(client, email, undefined, clock.now());
    const first = await refreshed(client, tokens.refreshToken, 'key-1');
    clock.advance(50_000);
    await keyring.renew();
    const again = await refreshed(client, tokens.refreshToken, 'key-1');
    expect(again.accessToken).toBe(first.accessToken);
    const { tokens: later } = await loggedIn(client, email, undefined, clock.now());
    expect(decodeProtectedHeader(later.accessToken).kid).not.toBe(
      decodeProtectedHeader(first.accessToken).kid,
    );
  });

  it('refuse to start under another master key, and say so', async () => {
    const { database } = await startAuth();
    const other = startAuth({
      database,
      env: { AUTH_MASTER_KEY: 'another master key, also long enough for one' },
    });
    await expect(other).rejects.toThrow('AUTH_MASTER_KEY does not open the signing keys of this database');
    expect(await codeOf(other)).toBe('unavailable');
  });

  it('may be thrown away for a new master key: logins go on by their next refresh, API tokens do not', async () => {
    const before = await startAuth();
    const { email, tokens, actor } = await registered(before.client);
    const { token } = await before.client.createApiToken(
      { name: 'script', scopes: ['documents:read'], expiresAtMs: 0 },
      call({ actor }),
    );
    await before.stop();
    const database = await openedDatabase(before.database.url);
    await database.query('delete from signing_keys');
    const { client } = await startAuth({
      database: before.database,
      env: { AUTH_MASTER_KEY: 'another master key, also long enough for one' },
    });
    await expect(verifyToken(client, tokens.accessToken)).rejects.toThrow();
    await expect(verifyToken(client, token, Date.now(), 'api+jwt')).rejects.toThrow();
    const { accessToken } = await refreshed(client, tokens.refreshToken);
    expect((await verifyToken(client, accessToken)).claims.sub).toBe(actor.userId);
    await loggedIn(client, email);
  });
});
