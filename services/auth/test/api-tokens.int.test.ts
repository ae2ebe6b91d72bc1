import { describe, expect, it } from 'vitest';
import {
  call,
  codeOf,
  fakeClock,
  loggedIn,
  plainHasher,
  refreshed,
  registered,
  startAuth,
  verifyToken,
} from './fixture.ts';

const over = { hasher: plainHasher };
const readOnly = { name: 'dashboard', scopes: ['documents:read'], expiresAtMs: 0 };

describe('an API token', () => {
  it('is a JWT of its own type with scopes, an id and an end', async () => {
    const clock = fakeClock();
    const { client } = await startAuth({ over: { ...over, clock } });
    const { actor } = await registered(client, { atMs: clock.now() });
    const expiresAtMs = clock.now() + 86_400_000;
    const { apiToken, token } = await client.createApiToken({ ...readOnly, expiresAtMs }, call({ actor }));
    const { claims, header } = await verifyToken(client, token, clock.now(), 'api+jwt');
    expect(header.typ).toBe('api+jwt');
    expect(claims).toMatchObject({
      sub: actor.userId,
      jti: apiToken?.id,
      scope: 'documents:read',
      exp: Math.floor(expiresAtMs / 1000),
    });
    expect(claims['sid']).toBeUndefined();
    await expect(verifyToken(client, token, clock.now(), 'at+jwt')).rejects.toThrow();
  });

  it('without an end has none, and lasts', async () => {
    const clock = fakeClock();
    const { client, keyring } = await startAuth({ over: { ...over, clock } });
    const { actor } = await registered(client, { atMs: clock.now() });
    const { token } = await client.createApiToken(readOnly, call({ actor }));
    clock.advance(10 * 365 * 86_400_000);
    await keyring.renew();
    const { claims } = await verifyToken(client, token, clock.now(), 'api+jwt');
    expect(claims.exp).toBeUndefined();
  });

  it('is the same when the request comes twice', async () => {
    const { client } = await startAuth({ over });
    const { actor } = await registered(client);
    const twice = call({ actor, idempotencyKey: 'token-1' });
    const first = await client.createApiToken(readOnly, twice);
    expect(await client.createApiToken(readOnly, twice)).toEqual(first);
    expect((await client.listApiTokens({ limit: 0, cursor: '' }, call({ actor }))).items).toHaveLength(1);
    expect(await codeOf(client.createApiToken({ ...readOnly, name: 'other' }, twice))).toBe(
      'idempotency_mismatch',
    );
  });

  it('reaches no further than its maker', async () => {
    const { client } = await startAuth({ over });
    const { actor } = await registered(client);
    const create = (scopes: string[], by = actor) =>
      codeOf(client.createApiToken({ ...readOnly, scopes }, call({ actor: by })));
    expect(await create(['operator'])).toBe('forbidden');
    expect(await create(['documents:read'], { ...actor, scopes: ['documents:read'] })).toBe('forbidden');
    expect(await create(['operator'], { ...actor, scopes: ['session', 'operator'] })).toBe('ok');
  });

  it('has a name, scopes and a future', async () => {
    const { client } = await startAuth({ over });
    const { actor } = await registered(client);
    await expect(
      client.createApiToken({ name: ' ', scopes: [], expiresAtMs: 1 }, call({ actor })),
    ).rejects.toMatchObject({
      code: 'invalid_request',
      errors: ['name', 'scopes', 'expiresAt'].map((path) => expect.objectContaining({ path })),
    });
  });

  it('ends with the login that made it when that is caught with a refresh token used twice', async () => {
    const { client } = await startAuth({ over });
    const ada = await registered(client);
    const other = await loggedIn(client, ada.email);
    const make = async ({ actor }: Pick<typeof ada, 'actor'>) =>
      (await client.createApiToken(readOnly, call({ actor }))).apiToken?.id ?? '';
    const [stolen, kept] = [await make(ada), await make(other)];
    await refreshed(client, ada.tokens.refreshToken);
    expect(await codeOf(refreshed(client, ada.tokens.refreshToken))).toBe('refresh_reused');
    const { revokedTokenIds } = await client.checkSessions(
      { sessionIds: [], tokenIds: [stolen, kept] },
      call(),
    );
    expect(revokedTokenIds).toEqual([stolen]);
    // The access token of that login is good for minutes yet, but not for making another one.
    expect(await codeOf(make(ada))).toBe('session_revoked');
  });

  it('outlives signing out everywhere, unless its person says otherwise', async () => {
    const { client } = await startAuth({ over });
    const [ada, eve] = [await registered(client), await registered(client)];
    const made: string[] = [];
    for (const { actor } of [ada, ada, eve])
      made.push((await client.createApiToken(readOnly, call({ actor }))).apiToken?.id ?? '');
    const revoked = async () =>
      (await client.checkSessions({ sessionIds: [], tokenIds: made }, call())).revokedTokenIds;
    const logout = (everywhere: boolean, tokens: boolean) =>
      codeOf(client.logout({ everywhere, tokens }, call({ actor: ada.actor })));
    expect(await logout(false, true)).toBe('invalid_request');
    expect(await logout(true, false)).toBe('ok');
    expect(await revoked()).toEqual([]);
    expect(await logout(true, true)).toBe('ok');
    expect(await revoked()).toEqual(made.slice(0, 2));
  });

  it('is listed and revoked by its person alone', async () => {
    const { client } = await startAuth({ over });
    const [ada, eve] = [await registered(client), await registered(client)];
    const names = ['a', 'b', 'c', 'd', 'e'];
    for (const name of names) await client.createApiToken({ ...readOnly, name }, call({ actor: ada.actor }));
    const listed: { id: string; name: string }[] = [];
    let cursor = '';
    do {
      const page = await client.listApiTokens({ limit: 2, cursor }, call({ actor: ada.actor }));
      listed.push(...page.items);
      cursor = page.next;
    } while (cursor !== '');
    expect(listed.map(({ name }) => name)).toEqual(names.toReversed());
    for (const foreign of [listed[0]?.id ?? '', Buffer.from('["a","b"]').toString('base64url')])
      await expect(
        client.listApiTokens({ limit: 2, cursor: foreign }, call({ actor: ada.actor })),
      ).rejects.toMatchObject({ code: 'invalid_request' });
    expect((await client.listApiTokens({ limit: 0, cursor: '' }, call({ actor: eve.actor }))).items).toEqual(
      [],
    );

    const id = listed[0]?.id ?? '';
    expect(await codeOf(client.revokeApiToken({ id }, call({ actor: eve.actor })))).toBe('not_found');
    expect(await codeOf(client.revokeApiToken({ id }, call({ actor: ada.actor })))).toBe('ok');
    expect(await codeOf(client.revokeApiToken({ id }, call({ actor: ada.actor })))).toBe('ok');
    const { items } = await client.listApiTokens({ limit: 0, cursor: '' }, call({ actor: ada.actor }));
    expect(items.map(({ name }) => name)).toEqual(['d', 'c', 'b', 'a']);
    const { revokedTokenIds } = await client.checkSessions({ sessionIds: [], tokenIds: [id] }, call());
    expect(revokedTokenIds).toEqual([id]);
  });
});
