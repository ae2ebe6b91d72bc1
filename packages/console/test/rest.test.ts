import { SignInNeeded } from '@skein/sync-client';
import { countingIds, FakeClock, memoryStorage } from '@skein/sync-client/testing';
import { describe, expect, it } from 'vitest';
import { createApi } from '../src/rest/api.ts';
import type { Fetch } from '../src/rest/http.ts';
import { Problem } from '../src/rest/problem.ts';
import { createTokens, type Exclusive } from '../src/rest/tokens.ts';

const alone: Exclusive = (run) => run();
const answer = (status: number, body: unknown): Response => new Response(JSON.stringify(body), { status });
const tab = { id: 'tab-1', platform: 'web', name: 'Firefox, Linux' };
const login = (n: number) => ({
  user: { id: 'u1', email: 'a@b.c' },
  accessToken: `a${n}`,
  refreshToken: `r${n}`,
  expiresIn: 900,
});

function rig(
  reply: (path: string, init: RequestInit) => Response | Promise<Response>,
  storage = memoryStorage(),
) {
  const clock = new FakeClock();
  const calls: { path: string; headers: Record<string, string>; body: string }[] = [];
  const fetch: Fetch = async (path, init) => {
    calls.push({ path, headers: init.headers as Record<string, string>, body: String(init.body ?? '') });
    return reply(path, init);
  };
  const deps = {
    ...{ fetch, storage, clock, newId: countingIds() },
    exclusive: alone,
    device: async () => tab,
  };
  const tokens = createTokens(deps);
  /** Who is signed in for a page that is opened now. */
  const nextPage = () => createTokens(deps).user;
  return { clock, storage, calls, tokens, nextPage, api: createApi(fetch, tokens) };
}

describe('tokens', () => {
  it('keep the refresh token and never the access token', async () => {
    const r = rig(() => answer(200, login(1)));
    await r.tokens.login('a@b.c', 'secret-pass');
    const kept = [...r.storage.values.values()].join();
    expect(kept).toContain('r1');
    expect(kept).not.toContain('a1');
    expect(kept).not.toContain('secret-pass');
  });

  it('are asked for with the device the page syncs as, so that they end with it', async () => {
    const r = rig(() => answer(200, login(1)));
    await r.tokens.login('a@b.c', 'x');
    await r.tokens.register('a@b.c', 'x', 'Ada');
    for (const { body } of r.calls) expect(JSON.parse(body)).toMatchObject({ device: tab });
  });

  it('are used until shortly before their end, then refreshed', async () => {
    let n = 0;
    const r = rig(() => answer(200, login(++n)));
    await r.tokens.login('a@b.c', 'x');
    expect((await r.tokens.access({ fresh: false })).token).toBe('a1');
    await r.clock.advance(880_000);
    expect((await r.tokens.access({ fresh: false })).token).toBe('a2');
    expect(JSON.parse(r.calls[1]?.body ?? '')).toEqual({ refreshToken: 'r1' });
  });

  it('are refreshed once for callers at the same time', async () => {
    let n = 0;
    const r = rig(() => answer(200, login(++n)));
    await r.tokens.login('a@b.c', 'x');
    await Promise.all([r.tokens.access({ fresh: true }), r.tokens.access({ fresh: true })]);
    expect(r.calls).toHaveLength(2);
  });

  it('ask again with the same idempotency key when the answer to a refresh was lost', async () => {
    let lost = true;
    const r = rig((path) => {
      if (path.endsWith('/refresh') && lost) throw new TypeError('network');
      return answer(200, login(1));
    });
    await r.tokens.login('a@b.c', 'x');
    await expect(r.tokens.access({ fresh: true })).rejects.toMatchObject({ code: 'network' });
    lost = false;
    await r.tokens.access({ fresh: true });
    expect(r.calls[1]?.headers['idempotency-key']).toBe(r.calls[2]?.headers['idempotency-key']);
    await r.tokens.access({ fresh: true });
    expect(r.calls[3]?.headers['idempotency-key']).not.toBe(r.calls[2]?.headers['idempotency-key']);
  });

  it('are forgotten when the refresh is refused, and kept when the service is only away', async () => {
    let status = 503;
    const r = rig((path) => (path.endsWith('/refresh') ? answer(status, {}) : answer(200, login(1))));
    await r.tokens.login('a@b.c', 'x');
    await expect(r.tokens.access({ fresh: true })).rejects.toBeInstanceOf(Problem);
    expect(r.nextPage()).toBe('u1');
    status = 401;
    await expect(r.tokens.access({ fresh: true })).rejects.toBeInstanceOf(SignInNeeded);
    expect(r.nextPage()).toBeUndefined();
  });

  it('are forgotten here at sign-out even when the server is away', async () => {
    const r = rig((path) => {
      if (path.endsWith('/logout')) throw new TypeError('network');
      return answer(200, login(1));
    });
    await r.tokens.login('a@b.c', 'x');
    await expect(r.tokens.logout(false)).rejects.toBeInstanceOf(Problem);
    expect(r.nextPage()).toBeUndefined();
  });
});

describe('tokens of two tabs', () => {
  const ofB = { ...login(9), user: { id: 'u2', email: 'b@b.c' } };

  it('stay with their person: the tab of one does not go on with the login of another', async () => {
    const r = rig(() => answer(200, login(1)));
    await r.tokens.login('a@b.c', 'x');
    const other = rig(() => answer(200, ofB), r.storage);
    await other.tokens.login('b@b.c', 'x');
    await expect(r.tokens.access({ fresh: true })).rejects.toBeInstanceOf(SignInNeeded);
    expect(r.calls).toHaveLength(1);
    await r.tokens.logout(false);
    expect(r.nextPage()).toBe('u2');
  });

  it('leave the login of another alone that came while one was refreshed', async () => {
    const held = Promise.withResolvers<Response>();
    const r = rig((path) => (path.endsWith('/refresh') ? held.promise : answer(200, login(1))));
    await r.tokens.login('a@b.c', 'x');
    const refreshed = r.tokens.access({ fresh: true });
    const other = rig(() => answer(200, ofB), r.storage);
    await other.tokens.login('b@b.c', 'x');
    held.resolve(answer(200, login(2)));
    await expect(refreshed).rejects.toBeInstanceOf(SignInNeeded);
    expect([...r.storage.values.values()].join()).toContain('r9');
  });

  it('go on with the refresh of each other when they are of one person', async () => {
    let n = 0;
    const reply = () => answer(200, login(++n));
    const r = rig(reply);
    await r.tokens.login('a@b.c', 'x');
    const other = rig(reply, r.storage);
    expect((await other.tokens.access({ fresh: false })).token).toBe('a2');
    await r.tokens.access({ fresh: true });
    expect(JSON.parse(r.calls[1]?.body ?? '')).toEqual({ refreshToken: 'r2' });
  });
});

describe('a call', () => {
  it('is tried again once with a fresh token after a 401', async () => {
    let n = 0;
    const r = rig((path, init) => {
      if (!path.startsWith('/v1/me')) return answer(200, login(++n));
      const header = (init.headers as Record<string, string>)['authorization'];
      return header === 'Bearer a1'
        ? answer(401, { code: 'token_expired' })
        : answer(200, { id: 'u1', email: 'a@b.c' });
    });
    await r.tokens.login('a@b.c', 'x');
    expect(await r.api.me()).toEqual({ id: 'u1', email: 'a@b.c', displayName: 'a@b.c' });
  });

  it('rejects with the problem the server states', async () => {
    const problem = {
      code: 'invalid_request',
      detail: 'Not so',
      retryable: false,
      errors: [{ path: 'email', message: 'is no address' }],
    };
    const r = rig(() => answer(400, problem));
    await expect(r.tokens.register('x', 'y', '')).rejects.toMatchObject({ status: 400, ...problem });
  });

  it('makes a problem of a page some proxy sent', async () => {
    const r = rig(() => new Response('<html>', { status: 502 }));
    await expect(r.tokens.login('x', 'y')).rejects.toMatchObject({ code: 'unavailable', retryable: true });
  });

  it('names a new conversation by an idempotency key, so that it is made once', async () => {
    const r = rig((path) =>
      path.startsWith('/v1/spaces') ? answer(201, { id: 'c9' }) : answer(200, login(1)),
    );
    await r.tokens.login('a@b.c', 'x');
    expect(await r.api.createConversation('personal', 'Plans', 'key-1')).toBe('c9');
    expect(r.calls[1]).toMatchObject({
      path: '/v1/spaces/personal/conversations',
      body: '{"title":"Plans"}',
    });
    expect(r.calls[1]?.headers['idempotency-key']).toBe('key-1');
  });
});
