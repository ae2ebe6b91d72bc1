import { describe, expect, it } from 'vitest';
import type { PasswordHasher } from '../src/app/ports.ts';
import {
  actorOf,
  call,
  clientFor,
  codeOf,
  device,
  loggedIn,
  newEmail,
  password,
  registered,
  startAuth,
  verifyToken,
} from './fixture.ts';

/** A hasher that counts instead of computing. */
const countingHasher = () => {
  const verified: string[] = [];
  const hasher: PasswordHasher = {
    hash: async (text) => `hash of ${text}`,
    verify: async (stored, text) => {
      verified.push(stored);
      return stored === `hash of ${text}`;
    },
    outdated: () => false,
  };
  return { hasher, verified };
};

describe('registering', () => {
  it('gives an account and a pair whose access token says who, which login, and for how long', async () => {
    const { client } = await startAuth();
    const { account, tokens, claims, email } = await registered(client, { from: device('phone') });
    expect(account).toMatchObject({ email, displayName: 'Ada' });
    const { header } = await verifyToken(client, tokens.accessToken);
    expect(header).toEqual({ alg: 'EdDSA', typ: 'at+jwt', kid: expect.any(String) });
    expect(claims).toMatchObject({ iss: 'skein', aud: 'skein', sub: account.id, scope: 'session' });
    expect(claims['sid']).toEqual(expect.any(String));
    expect(claims.jti).toEqual(expect.any(String));
    expect(claims.nbf).toBe(claims.iat);
    expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(600);
    expect(tokens.expiresInS).toBe(600);
  });

  it('takes an address once, however it is spelled', async () => {
    const { client } = await startAuth();
    const { email } = await registered(client);
    const again = { email: ` ${email.toUpperCase()} `, password, displayName: '', device: undefined };
    expect(await codeOf(client.register({ ...again, remoteAddress: '' }, call()))).toBe('email_taken');
  });

  it('makes one account of one request sent twice, and both answers work', async () => {
    const { client } = await startAuth();
    const request = { email: newEmail(), password, displayName: '', device: undefined, remoteAddress: '' };
    const idempotencyKey = 'registration-1';
    const first = await client.register(request, call({ idempotencyKey }));
    const second = await client.register(request, call({ idempotencyKey }));
    expect(second.account).toEqual(first.account);
    for (const { tokens } of [first, second]) await verifyToken(client, tokens?.accessToken ?? '');
    const other = { ...request, password: `${password}!` };
    expect(await codeOf(client.register(other, call({ idempotencyKey })))).toBe('email_taken');
  });

  it('names every field that is wrong', async () => {
    const { client } = await startAuth();
    const bad = { email: 'nobody', password: 'password', displayName: 'x'.repeat(101), remoteAddress: '' };
    const from = device('x'.repeat(129));
    await expect(client.register({ ...bad, device: from }, call())).rejects.toMatchObject({
      code: 'invalid_request',
      errors: expect.arrayContaining(
        ['device.id', 'email', 'password', 'displayName'].map((path) => expect.objectContaining({ path })),
      ),
    });
  });

  it('lets one of many at once have the address', async () => {
    const { client } = await startAuth();
    const request = { email: newEmail(), password, displayName: '', device: undefined, remoteAddress: '' };
    const codes = await Promise.all(
      Array.from({ length: 8 }, () => codeOf(client.register(request, call()))),
    );
    expect(codes.sort()).toEqual([...Array(7).fill('email_taken'), 'ok']);
  });
});

describe('signing in', () => {
  it('gives a login of its own each time', async () => {
    const { client } = await startAuth();
    const { email, claims: first } = await registered(client);
    const { claims: second } = await loggedIn(client, email);
    expect(second.sub).toBe(first.sub);
    expect(second['sid']).not.toBe(first['sid']);
  });

  it('answers an unknown address as it answers a wrong password, after the same work', async () => {
    const { hasher, verified } = countingHasher();
    const { client } = await startAuth({ over: { hasher } });
    const { email } = await registered(client);
    const attempt = (address: string) =>
      client
        .login({ email: address, password: 'not the password', device: undefined, remoteAddress: '' }, call())
        .catch((error: { code: string; detail: string }) => ({ code: error.code, detail: error.detail }));
    const wrong = await attempt(email);
    expect(verified).toHaveLength(1);
    const unknown = await attempt(newEmail());
    expect(verified).toHaveLength(2);
    expect(unknown).toEqual(wrong);
    expect(wrong).toMatchObject({ code: 'invalid_credentials' });
  });

  it('limits the attempts on one account, also on one that does not exist, and says when to come back', async () => {
    const { client } = await startAuth({ env: { AUTH_LOGINS_PER_MINUTE: '3' } });
    const email = newEmail();
    const attempt = () => client.login({ email, password, device: undefined, remoteAddress: '' }, call());
    for (let n = 0; n < 3; n += 1) expect(await codeOf(attempt())).toBe('invalid_credentials');
    const refusal = await attempt().catch((error: { code: string; retryAfterMs: number }) => error);
    expect(refusal).toMatchObject({ code: 'rate_limited' });
    const { retryAfterMs } = refusal as { retryAfterMs: number };
    expect(retryAfterMs).toBeGreaterThan(0);
    expect(retryAfterMs).toBeLessThanOrEqual(20_000);
    expect(
      await codeOf(
        client.login({ email: newEmail(), password, device: undefined, remoteAddress: '' }, call()),
      ),
    ).toBe('invalid_credentials');
  });

  it('limits the attempts anew as soon as the config centre says so', async () => {
    const { client, change } = await startAuth();
    const attempts = async (email: string) => {
      const codes: (string | undefined)[] = [];
      for (let n = 0; n < 4; n += 1)
        codes.push(
          await codeOf(client.login({ email, password, device: undefined, remoteAddress: '' }, call())),
        );
      return codes;
    };
    const wrong = 'invalid_credentials';
    expect(await attempts(newEmail())).toEqual([wrong, wrong, wrong, wrong]);
    expect(change({ AUTH_LOGINS_PER_MINUTE: 2 })).toEqual(['AUTH_LOGINS_PER_MINUTE']);
    expect(await attempts(newEmail())).toEqual([wrong, wrong, 'rate_limited', 'rate_limited']);
    change({ AUTH_LOGINS_PER_MINUTE: 1_000 });
    expect(await attempts(newEmail())).toEqual([wrong, wrong, wrong, wrong]);
  });

  it('hashes again with the settings of today, once', async () => {
    const { hasher } = countingHasher();
    const hashed: string[] = [];
    const of = (year: string): PasswordHasher => ({
      hash: async (text) => {
        hashed.push(year);
        return `${year} ${await hasher.hash(text)}`;
      },
      verify: (stored, text) => hasher.verify(stored.slice(year.length + 1), text),
      outdated: (stored) => !stored.startsWith(year),
    });
    const then = await startAuth({ over: { hasher: of('2020') } });
    const { email } = await registered(then.client);
    const now = await startAuth({ database: then.database, over: { hasher: of('2030') } });
    hashed.length = 0;
    await loggedIn(now.client, email);
    await loggedIn(now.client, email);
    expect(hashed).toEqual(['2030']);
  });

  it('makes the operator of the address that was configured', async () => {
    const { client } = await startAuth({ env: { SKEIN_OPERATOR_EMAIL: 'Root@Example.org' } });
    const request = {
      email: 'root@example.org',
      password,
      displayName: '',
      device: undefined,
      remoteAddress: '',
    };
    const { tokens } = await client.register(request, call());
    const { claims } = await verifyToken(client, tokens?.accessToken ?? '');
    expect(actorOf(claims).scopes).toEqual(['session', 'operator']);
    expect((await registered(client)).actor.scopes).toEqual(['session']);
  });

  it('is for the gateway alone', async () => {
    const { port } = await startAuth();
    const agent = clientFor(port, 'agent');
    const attempt = agent.login(
      { email: newEmail(), password, device: undefined, remoteAddress: '' },
      call(),
    );
    expect(await codeOf(attempt)).toBe('forbidden');
    await agent.stop();
  });
});

describe('accounts', () => {
  it('are told to the service that keeps profiles, and to no other', async () => {
    const { client, port } = await startAuth();
    const { account } = await registered(client);
    for (const [service, expected] of [
      ['user', 'ok'],
      ['agent', 'forbidden'],
      ['gateway', 'forbidden'],
    ] as const) {
      const other = clientFor(port, service);
      expect(await codeOf(other.getAccount({ userId: account.id }, call()))).toBe(expected);
      const missing = await codeOf(other.getAccount({ userId: 'nobody' }, call()));
      expect(missing).toBe(expected === 'ok' ? 'not_found' : expected);
      await other.stop();
    }
  });
});
