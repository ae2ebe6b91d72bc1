import type { authV1 } from '@skein/contracts';
import { describe, expect, it } from 'vitest';
import {
  type AuthClient,
  call,
  clientFor,
  codeOf,
  device,
  fakeClock,
  loggedIn,
  plainHasher,
  refreshed,
  registered,
  startAuth,
} from './fixture.ts';

const over = { hasher: plainHasher };

/** Follows the feed of revocations into a list until the test's signal ends it. */
const followed = (client: AuthClient, signal: AbortSignal) => {
  const seen: authV1.WatchRevocationsResponse[] = [];
  const follow = async () => {
    for await (const one of client.watchRevocations({}, call({ signal }))) seen.push(one);
  };
  return { seen, ended: follow().catch(() => {}) };
};

/** What a device is known by, as far as a test says. */
const named = (known: Partial<authV1.RevokeDeviceRequest>): authV1.RevokeDeviceRequest => ({
  deviceId: '',
  sessionIds: [],
  tokenIds: [],
  ...known,
});

const ids = (seen: readonly authV1.WatchRevocationsResponse[]) =>
  seen.map(({ sessionId, tokenId }) => sessionId || tokenId);

describe('logging out', () => {
  it('ends this login and no other', async () => {
    const { client } = await startAuth({ over });
    const { email, actor, tokens } = await registered(client);
    const other = await loggedIn(client, email);
    await client.logout({ everywhere: false }, call({ actor }));
    await client.logout({ everywhere: false }, call({ actor }));
    expect(await codeOf(refreshed(client, tokens.refreshToken))).toBe('session_revoked');
    await refreshed(client, other.tokens.refreshToken);
  });

  it('everywhere ends every login of this person, and nobody else’s', async () => {
    const { client } = await startAuth({ over });
    const ada = await registered(client);
    const phone = await loggedIn(client, ada.email, device('phone'));
    const eve = await registered(client);
    await client.logout({ everywhere: true }, call({ actor: phone.actor }));
    for (const { tokens } of [ada, phone])
      expect(await codeOf(refreshed(client, tokens.refreshToken))).toBe('session_revoked');
    await refreshed(client, eve.tokens.refreshToken);
    const again = await loggedIn(client, ada.email);
    await refreshed(client, again.tokens.refreshToken);
  });

  it('is nothing an API token can do, nor anything else about logins and tokens', async () => {
    const { client } = await startAuth({ over });
    const { actor } = await registered(client);
    const bot = { userId: actor.userId, tokenId: 'token-1', scopes: ['session'] };
    const bots = call({ actor: bot });
    const token = { name: 'more', scopes: ['session'], expiresAtMs: 0 };
    const refused = [
      client.logout({ everywhere: false }, bots),
      client.logout({ everywhere: true }, bots),
      client.createApiToken(token, bots),
      client.listApiTokens({ limit: 0, cursor: '' }, bots),
      client.revokeApiToken({ id: 'token-2' }, bots),
      client.listSessions({}, bots),
      client.revokeDevice({ deviceId: 'phone', sessionIds: [], tokenIds: [] }, bots),
    ];
    expect(new Set(await Promise.all(refused.map(codeOf)))).toEqual(new Set(['forbidden']));
    expect(await codeOf(client.logout({ everywhere: true }, call()))).toBe('unauthenticated');
  });
});

describe('listing logins', () => {
  it('names those of the person that work, last used first, with the device each has named', async () => {
    const clock = fakeClock();
    const { client } = await startAuth({ over: { ...over, clock } });
    const ada = await registered(client, { atMs: clock.now() });
    await registered(client, { atMs: clock.now() });
    const madeAtMs = clock.now();
    clock.advance(1_000);
    const phone = await loggedIn(client, ada.email, device('phone'), clock.now());
    const gone = await loggedIn(client, ada.email, device('tv'), clock.now());
    await client.logout({ everywhere: false }, call({ actor: gone.actor }));
    clock.advance(1_000);
    await refreshed(client, ada.tokens.refreshToken);
    const { items } = await client.listSessions({}, call({ actor: ada.actor }));
    expect(items).toEqual([
      { id: ada.actor.sessionId, device: undefined, createdAtMs: madeAtMs, lastUsedAtMs: madeAtMs + 2_000 },
      {
        ...{ id: phone.actor.sessionId, device: device('phone') },
        ...{ createdAtMs: madeAtMs + 1_000, lastUsedAtMs: madeAtMs + 1_000 },
      },
    ]);
    clock.advance(8 * 86_400_000);
    expect((await client.listSessions({}, call({ actor: ada.actor }))).items).toEqual([]);
  });
});

describe('revoking a device', () => {
  it('ends every login made from it', async () => {
    const { client } = await startAuth({ over });
    const { email, actor, tokens } = await registered(client, { from: device('laptop') });
    const lost = [
      await loggedIn(client, email, device('phone')),
      await loggedIn(client, email, device('phone')),
    ];
    await client.revokeDevice(named({ deviceId: 'phone' }), call({ actor }));
    for (const { tokens: gone } of lost)
      expect(await codeOf(refreshed(client, gone.refreshToken))).toBe('session_revoked');
    await refreshed(client, tokens.refreshToken);
    expect(await codeOf(client.revokeDevice(named({}), call({ actor })))).toBe('invalid_request');
  });

  it('ends the logins and API tokens it was seen with, and none of anybody else', async () => {
    const { client } = await startAuth({ over });
    const [ada, eve] = [await registered(client), await registered(client)];
    const made = async ({ actor }: typeof ada) => {
      const token = { name: 'bot', scopes: ['session'], expiresAtMs: 0 };
      return (await client.createApiToken(token, call({ actor }))).apiToken?.id ?? '';
    };
    const [adas, other, eves] = [await made(ada), await made(ada), await made(eve)];
    // Neither login named a device, and no device is named here: others that named none are not meant.
    const seen = await loggedIn(client, ada.email);
    const sessionIds = [seen, eve].map(({ actor }) => actor.sessionId ?? '');
    await client.revokeDevice(named({ sessionIds, tokenIds: [adas, eves] }), call({ actor: ada.actor }));
    const all = { sessionIds: [ada.actor.sessionId ?? '', ...sessionIds], tokenIds: [adas, other, eves] };
    expect(await client.checkSessions(all, call())).toEqual({
      revokedSessionIds: [seen.actor.sessionId],
      revokedTokenIds: [adas],
    });
    const many = named({ sessionIds: Array<string>(201).fill('x') });
    expect(await codeOf(client.revokeDevice(many, call({ actor: ada.actor })))).toBe('invalid_request');
  });
});

describe('the feed of revocations', () => {
  it('starts with what ended while a gateway still believes an API token it has asked about', async () => {
    const clock = fakeClock();
    const { client } = await startAuth({ over: { ...over, clock }, env: { AUTH_ACCESS_TTL_MS: '60000' } });
    const { actor } = await registered(client, { atMs: clock.now() });
    const token = { name: 'bot', scopes: ['session'], expiresAtMs: 0 };
    const { apiToken } = await client.createApiToken(token, call({ actor }));
    await client.revokeApiToken({ id: apiToken?.id ?? '' }, call({ actor }));
    clock.advance(15 * 60_000);
    const stop = new AbortController();
    const { seen, ended } = followed(client, stop.signal);
    await expect.poll(() => ids(seen)).toEqual([apiToken?.id]);
    stop.abort();
    await ended;
  });

  it('starts with those of the last access-token lifetime and goes on with each as it happens', async () => {
    const { client } = await startAuth({ over, env: { AUTH_REVOCATION_POLL_MS: '1000' } });
    const [ada, eve, bob] = [await registered(client), await registered(client), await registered(client)];
    await client.logout({ everywhere: false }, call({ actor: ada.actor }));
    const stop = new AbortController();
    const { seen, ended } = followed(client, stop.signal);
    await expect.poll(() => ids(seen)).toEqual([ada.actor.sessionId]);
    await client.logout({ everywhere: true }, call({ actor: eve.actor }));
    await expect.poll(() => ids(seen)).toEqual([ada.actor.sessionId, eve.actor.sessionId]);
    const { apiToken } = await client.createApiToken(
      { name: 'bot', scopes: ['session'], expiresAtMs: 0 },
      call({ actor: bob.actor }),
    );
    await client.revokeApiToken({ id: apiToken?.id ?? '' }, call({ actor: bob.actor }));
    await expect.poll(() => ids(seen).at(-1)).toBe(apiToken?.id);
    stop.abort();
    await ended;
  });

  it('tells of what another replica ended, in the order it happened', async () => {
    const one = await startAuth({ over });
    const two = await startAuth({ over, database: one.database });
    const stop = new AbortController();
    const { seen, ended } = followed(two.client, stop.signal);
    const people = await Promise.all(Array.from({ length: 30 }, () => registered(one.client)));
    await Promise.all(
      people.map(({ actor }, n) =>
        (n % 2 === 0 ? one : two).client.logout({ everywhere: false }, call({ actor })),
      ),
    );
    const expected = people.map(({ actor }) => actor.sessionId).toSorted();
    await expect.poll(() => ids(seen).toSorted(), { timeout: 5_000 }).toEqual(expected);
    stop.abort();
    await ended;
    // Whoever comes later is told the same.
    const late = new AbortController();
    const replay = followed(one.client, late.signal);
    await expect.poll(() => ids(replay.seen)).toEqual(ids(seen));
    late.abort();
    await replay.ended;
  });

  it('tells of a family that died by reuse', async () => {
    const { client } = await startAuth({ over });
    const { actor, tokens } = await registered(client);
    const stop = new AbortController();
    const { seen, ended } = followed(client, stop.signal);
    await refreshed(client, tokens.refreshToken);
    await codeOf(refreshed(client, tokens.refreshToken));
    await expect.poll(() => ids(seen)).toEqual([actor.sessionId]);
    stop.abort();
    await ended;
  });
});

describe('checking sessions', () => {
  it('names those that no longer work, unknown ones included', async () => {
    const { client } = await startAuth({ over });
    const [ada, eve] = [await registered(client), await registered(client)];
    await client.logout({ everywhere: false }, call({ actor: eve.actor }));
    const sessionIds = [ada.actor.sessionId ?? '', eve.actor.sessionId ?? '', 'never was'];
    const { apiToken } = await client.createApiToken(
      { name: 'bot', scopes: ['session'], expiresAtMs: 0 },
      call({ actor: ada.actor }),
    );
    const tokenIds = [apiToken?.id ?? '', 'never was either'];
    expect(await client.checkSessions({ sessionIds, tokenIds }, call())).toEqual({
      revokedSessionIds: [eve.actor.sessionId, 'never was'],
      revokedTokenIds: ['never was either'],
    });
    const tooMany = { sessionIds: Array<string>(251).fill('x'), tokenIds: Array<string>(250).fill('x') };
    expect(await codeOf(client.checkSessions(tooMany, call()))).toBe('invalid_request');
  });
});

it('somebody with more logins than anybody has devices loses the ones not used for longest', async () => {
  const { client, port } = await startAuth({ over });
  const first = await registered(client);
  const crowd = clientFor(port);
  for (let n = 0; n < 99; n += 1) await loggedIn(crowd, first.email);
  await refreshed(client, first.tokens.refreshToken);
  const second = await loggedIn(crowd, first.email);
  const sessionIds = [first.actor.sessionId ?? '', second.actor.sessionId ?? ''];
  expect((await client.checkSessions({ sessionIds, tokenIds: [] }, call())).revokedSessionIds).toEqual([]);
  await crowd.stop();
});
