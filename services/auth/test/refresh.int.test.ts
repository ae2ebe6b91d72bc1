import type { authV1 } from '@skein/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type AuthClient,
  call,
  codeOf,
  dumpOf,
  fakeClock,
  plainHasher,
  refreshed,
  registered,
  startAuth,
  verifyToken,
} from './fixture.ts';

const minute = 60_000;
const day = 86_400_000;

/** What a client may do with a family of refresh tokens. */
type Step =
  /** Sends the nth token it ever got (counted from the newest), with a key or without. */
  | { readonly do: 'present'; readonly back: number; readonly key: string }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'log out' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('present' as const),
      // Mostly the leaf, so that families grow before they die.
      back: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.nat(3) }),
      key: fc.constantFrom('', 'key-1', 'key-2'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1_000, minute) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('log out' as const) }) },
);

interface ModelToken {
  readonly text: string;
  exchange?: { readonly atMs: number; readonly key: string; readonly pair: authV1.TokenPair };
}

const revokedSessions = async (client: AuthClient, sessionId: string) =>
  (await client.checkSessions({ sessionIds: [sessionId], tokenIds: [] }, call())).revokedSessionIds;

describe('refreshing', () => {
  it('behaves as its model, whatever a client does', { timeout: 60_000 }, async () => {
    const clock = fakeClock();
    const { client } = await startAuth({ over: { clock, hasher: plainHasher } });

    const run = async (steps: readonly Step[]) => {
      const { tokens, actor } = await registered(client, { atMs: clock.now() });
      const held: ModelToken[] = [{ text: tokens.refreshToken }];
      let refusal: 'refresh_reused' | 'session_revoked' | undefined;

      const present = async (token: ModelToken, key: string) => {
        const answer = refreshed(client, token.text, key);
        if (refusal) return expect(await codeOf(answer)).toBe(refusal);
        const { exchange } = token;
        if (!exchange) {
          const pair = await answer;
          token.exchange = { atMs: clock.now(), key, pair };
          held.push({ text: pair.refreshToken });
          return;
        }
        if (key !== '' && key === exchange.key && clock.now() - exchange.atMs < minute) {
          const { expiresInS, ...pair } = await answer;
          expect(pair).toEqual({
            accessToken: exchange.pair.accessToken,
            refreshToken: exchange.pair.refreshToken,
          });
          expect(expiresInS).toBeLessThanOrEqual(exchange.pair.expiresInS);
          return;
        }
        expect(await codeOf(answer)).toBe('refresh_reused');
        refusal = 'refresh_reused';
      };

      for (const one of steps) {
        if (one.do === 'wait') clock.advance(one.ms);
        else if (one.do === 'log out') {
          await client.logout({ everywhere: false }, call({ actor }));
          refusal ??= 'session_revoked';
        } else {
          const token = held.at(-1 - one.back);
          if (token) await present(token, one.key);
        }
      }
      const sessionId = actor.sessionId ?? '';
      expect(await revokedSessions(client, sessionId)).toEqual(refusal ? [sessionId] : []);
      // A family that is dead is dead as a whole: each token it ever had, the leaf first.
      if (refusal)
        for (const { text } of held.toReversed()) expect(await codeOf(refreshed(client, text))).toBe(refusal);
      expect(new Set(held.map(({ text }) => text)).size).toBe(held.length);
    };

    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 12 }), run), {
      numRuns: 60,
      endOnFailure: true,
    });
  });

  it('has one winner of fifty at once, and the winner loses what it won', async () => {
    const { client } = await startAuth({ over: { hasher: plainHasher } });
    const { tokens } = await registered(client);
    const attempts = await Promise.allSettled(
      Array.from({ length: 50 }, () => refreshed(client, tokens.refreshToken)),
    );
    const won = attempts.filter((attempt) => attempt.status === 'fulfilled');
    expect(won).toHaveLength(1);
    for (const attempt of attempts)
      if (attempt.status === 'rejected') expect(attempt.reason).toMatchObject({ code: 'refresh_reused' });
    expect(await codeOf(refreshed(client, won[0]?.value.refreshToken ?? ''))).toBe('refresh_reused');
  });

  it('gives fifty requests with one idempotency key the same pair, which works', async () => {
    const { client } = await startAuth({ over: { hasher: plainHasher } });
    const { tokens } = await registered(client);
    const pairs = await Promise.all(
      Array.from({ length: 50 }, () => refreshed(client, tokens.refreshToken, 'key-1')),
    );
    expect(new Set(pairs.map(({ accessToken, refreshToken }) => accessToken + refreshToken)).size).toBe(1);
    await refreshed(client, pairs[0]?.refreshToken ?? '');
  });

  it('takes the idempotency key of the call when the request has none', async () => {
    const { client } = await startAuth({ over: { hasher: plainHasher } });
    const { tokens } = await registered(client);
    const once = () =>
      client.refresh(
        { refreshToken: tokens.refreshToken, idempotencyKey: '' },
        call({ idempotencyKey: 'key-1' }),
      );
    expect((await once()).tokens?.refreshToken).toBe((await once()).tokens?.refreshToken);
  });

  it('keeps the login: the new access token names the same session', async () => {
    const { client } = await startAuth({ over: { hasher: plainHasher } });
    const { tokens, claims } = await registered(client);
    const next = await refreshed(client, tokens.refreshToken);
    const { claims: renewed } = await verifyToken(client, next.accessToken);
    expect(renewed['sid']).toBe(claims['sid']);
    expect(renewed.jti).not.toBe(claims.jti);
    expect(renewed['auth_time']).toBe(claims['auth_time']);
  });

  it('ends after seven idle days, and after thirty days of use', async () => {
    const clock = fakeClock();
    const { client } = await startAuth({ over: { clock, hasher: plainHasher } });
    const idle = await registered(client, { atMs: clock.now() });
    let { refreshToken } = (await registered(client, { atMs: clock.now() })).tokens;
    for (let used = 0; used < 4; used += 1) {
      clock.advance(7 * day - 1);
      refreshToken = (await refreshed(client, refreshToken)).refreshToken;
    }
    expect(await codeOf(refreshed(client, idle.tokens.refreshToken))).toBe('session_revoked');
    clock.advance(2 * day - 1_000);
    refreshToken = (await refreshed(client, refreshToken)).refreshToken;
    clock.advance(2_000);
    expect(await codeOf(refreshed(client, refreshToken))).toBe('session_revoked');
  });

  it('refuses what it has never given out', async () => {
    const { client } = await startAuth({ over: { hasher: plainHasher } });
    for (const text of ['', 'nonsense', 'x'.repeat(10_000)])
      expect(await codeOf(refreshed(client, text))).toBe('unauthenticated');
  });

  it('stores no token, only what cannot be turned back into one', async () => {
    const { client, database } = await startAuth({ over: { hasher: plainHasher } });
    const { tokens, actor } = await registered(client);
    const next = await refreshed(client, tokens.refreshToken, 'key-1');
    const { ticket } = await client.createTicket({}, call({ actor }));
    const dump = await dumpOf(database.url);
    for (const secret of [tokens.refreshToken, next.refreshToken, ticket, 'key-1']) {
      expect(dump).not.toContain(secret);
      expect(dump).not.toContain(Buffer.from(secret, 'base64url').toString('hex'));
    }
    expect(dump).toContain(actor.sessionId);
  });
});
