import { erasureV1 } from '@skein/contracts';
import { identity, rpcClient } from '@skein/rpc';
import { createLogger, createMetrics } from '@skein/telemetry';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  call,
  clientFor,
  codeOf,
  dumpOf,
  fakeClock,
  loggedIn,
  password,
  plainHasher,
  refreshed,
  registered,
  secret,
  startAuth,
} from './fixture.ts';

const over = { hasher: plainHasher };

const asUser = (port: number) => {
  const client = clientFor(port, 'user');
  onTestFinished(() => client.stop());
  return client;
};

describe('confirming a person', () => {
  it('takes a fresh login, and else the password', async () => {
    const clock = fakeClock();
    const { client, port } = await startAuth({ over: { ...over, clock } });
    const { actor } = await registered(client);
    const user = asUser(port);
    await user.confirmPerson({ password: '' }, call({ actor }));
    clock.advance(11 * 60_000);
    const confirm = (given: string) => codeOf(user.confirmPerson({ password: given }, call({ actor })));
    expect(await confirm('')).toBe('reauthentication_required');
    expect(await confirm('not it at all')).toBe('invalid_credentials');
    await user.confirmPerson({ password }, call({ actor }));
    await client.logout({ everywhere: false }, call({ actor }));
    expect(await confirm(password)).toBe('session_revoked');
  });
});

describe('closing an account', () => {
  it('ends every login and token, lets nobody in, and keeps the address until it is erased', async () => {
    const { client, port, database } = await startAuth({ over });
    const { account, email, actor, tokens } = await registered(client);
    const other = await loggedIn(client, email);
    const { apiToken } = await client.createApiToken(
      { name: 'ci', scopes: ['session'], expiresAtMs: 0 },
      call({ actor }),
    );
    const user = asUser(port);
    const userId = account.id;
    expect(await user.closeAccount({ userId }, call())).toEqual({ email });
    expect(await user.closeAccount({ userId }, call())).toEqual({ email });
    for (const { refreshToken } of [tokens, other.tokens])
      expect(await codeOf(refreshed(client, refreshToken))).toBe('session_revoked');
    expect(await codeOf(loggedIn(client, email))).toBe('invalid_credentials');
    expect(await codeOf(user.getAccount({ userId }, call()))).toBe('not_found');
    const again = () =>
      client.register({ email, password, displayName: '', device: undefined, remoteAddress: '' }, call());
    expect(await codeOf(again())).toBe('email_taken');
    const tokenIds = [apiToken?.id ?? ''];
    expect(await client.checkSessions({ sessionIds: [], tokenIds }, call())).toMatchObject({
      revokedTokenIds: tokenIds,
    });

    const erasure = rpcClient(erasureV1.ErasureServiceService, {
      service: 'auth',
      target: `ipv4:127.0.0.1:${port}`,
      identity: identity({ service: 'user', secret }),
      log: createLogger({ service: 'test', instance: 'test', level: 'silent' }),
      metrics: createMetrics(),
    });
    onTestFinished(() => erasure.stop());
    await erasure.eraseUser({ userId, email: '' }, call());
    await erasure.eraseUser({ userId, email: '' }, call());
    expect(await codeOf(user.closeAccount({ userId }, call()))).toBe('not_found');
    expect(await client.checkSessions({ sessionIds: [], tokenIds }, call())).toMatchObject({
      revokedTokenIds: tokenIds,
    });
    const dump = await dumpOf(database.url);
    for (const text of [email, userId]) expect(dump).not.toContain(text);
    expect((await again()).account?.id).not.toBe(userId);
  });

  it('is for the user service alone', async () => {
    const { client } = await startAuth({ over });
    const { account } = await registered(client);
    expect(await codeOf(client.closeAccount({ userId: account.id }, call()))).toBe('forbidden');
  });
});
