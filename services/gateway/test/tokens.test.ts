import { createHmac } from 'node:crypto';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { apiClaims, type FakeMesh, fakeMesh, loginClaims, signingKey } from './fakes.ts';
import { problem, startGateway, type TestGateway } from './gateway.ts';

let mesh: FakeMesh;
let gateway: TestGateway;

beforeAll(async () => {
  mesh = await fakeMesh();
  mesh.user.getProfile = async (_request, ctx) => ({
    profile: {
      ...{ userId: ctx.actor?.userId ?? '', email: '', displayName: '', locale: '', timezone: '' },
      ...{ createdAtMs: 0, lastLoginAtMs: 0, lastLoginPlatform: '' },
    },
  });
  gateway = await startGateway(mesh);
});
afterAll(async () => {
  await gateway?.stop();
  await mesh?.stop();
});

const invalid = problem(401, 'unauthenticated', 'The token is not valid');
const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const seconds = () => Math.floor(Date.now() / 1_000);

/** HS256 with the public key as the secret: what a verifier falls for that lets the header choose the algorithm. */
const confused = () => {
  const body = `${base64url({ alg: 'HS256', typ: 'at+jwt', kid: 'key-1' })}.${base64url(loginClaims('u1'))}`;
  const secret = Buffer.from(mesh.key.jwk.x ?? '', 'base64url');
  return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
};

/** Signed by a key of the attacker, brought along in the header. */
const injected = async () => {
  const { publicKey, privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519' });
  const jwk = await exportJWK(publicKey);
  return new SignJWT(loginClaims('u1'))
    .setProtectedHeader({
      alg: 'EdDSA',
      typ: 'at+jwt',
      kid: '../../dev/null',
      jwk,
      jku: 'https://evil.example',
    })
    .sign(privateKey);
};

const tampered = async () => {
  const [head, , signature] = (await mesh.key.sign(loginClaims('u1'))).split('.');
  return `${head}.${base64url(loginClaims('u2'))}.${signature}`;
};

const forged: readonly (readonly [string, () => Promise<string> | string])[] = [
  ['garbage', () => 'garbage'],
  ['nothing between the dots', () => '..'],
  [
    'the algorithm none',
    () => `${base64url({ alg: 'none', typ: 'at+jwt' })}.${base64url(loginClaims('u1'))}.`,
  ],
  ['HS256 with the public key as secret', confused],
  ['a key brought along in the header', injected],
  ['another key under a known kid', async () => (await signingKey('key-1')).sign(loginClaims('u1'))],
  ['an unknown kid', async () => (await signingKey('key-9')).sign(loginClaims('u1'))],
  ['no kid', () => mesh.key.sign(loginClaims('u1'), { kid: undefined })],
  ['other claims under a good signature', tampered],
  ['another type', () => mesh.key.sign(loginClaims('u1'), { typ: 'JWT' })],
  ['an access token posing as an API token', () => mesh.key.sign(loginClaims('u1'), { typ: 'api+jwt' })],
  ['an API token posing as an access token', () => mesh.key.sign(apiClaims('u1', 'session'))],
  ['another issuer', () => mesh.key.sign({ ...loginClaims('u1'), iss: 'evil' })],
  ['another audience', () => mesh.key.sign({ ...loginClaims('u1'), aud: 'skein-internal' })],
  ['a start in the future', () => mesh.key.sign({ ...loginClaims('u1'), nbf: seconds() + 60 })],
  ['no person', () => mesh.key.sign({ ...loginClaims('u1'), sub: '' })],
  ['no login', () => mesh.key.sign({ ...loginClaims('u1'), sid: undefined })],
  ['9,000 characters', () => 'x'.repeat(9_000)],
];

describe('tokens', () => {
  it.each(forged)('with %s are refused', async (_what, make) => {
    expect(await gateway.json('GET', '/v1/me', { token: await make() })).toEqual({
      status: 401,
      body: invalid,
    });
  });

  it('that have expired say so, with 30 s of leeway', async () => {
    const late = (by: number) => mesh.key.sign({ ...loginClaims('u1'), exp: seconds() - by });
    expect(await gateway.json('GET', '/v1/me', { token: await late(31) })).toEqual({
      status: 401,
      body: problem(401, 'token_expired', 'The token has expired; refresh it'),
    });
    expect((await gateway.ask('GET', '/v1/me', { token: await late(20) })).status).toBe(200);
  });

  it('of a login carry everything but what reaches other people', async () => {
    await gateway.ask('GET', '/v1/me', { token: await gateway.login('u1') });
    expect(mesh.calls('getProfile').at(-1)?.ctx.actor).toEqual({
      userId: 'u1',
      sessionId: 'sid-u1',
      scopes: ['session', 'messages:write', 'documents:read', 'documents:write'],
      platform: 'api',
    });
  });

  it('for the API reach only as far as their scopes', async () => {
    const token = await gateway.apiToken('u1', 'session');
    expect((await gateway.ask('GET', '/v1/me', { token })).status).toBe(200);
    const body = { clientMessageId: 'k', text: 'hi' };
    expect(await gateway.json('POST', '/v1/spaces/personal/messages', { token, body })).toEqual({
      status: 403,
      body: problem(403, 'forbidden', 'The token lacks the scope messages:write'),
    });
    expect(await gateway.json('GET', '/v1/auth/tokens', { token })).toEqual({
      status: 403,
      body: problem(403, 'forbidden', 'An API token cannot do this; sign in'),
    });
  });

  it('for the API are asked about once, and refused when they were revoked long ago', async () => {
    const asked = () => mesh.calls('checkSessions').length;
    const good = await mesh.key.sign(apiClaims('u3', 'session', 'jti-good'), { typ: 'api+jwt' });
    const before = asked();
    for (let times = 0; times < 3; times += 1) await gateway.ask('GET', '/v1/me', { token: good });
    expect(asked()).toBe(before + 1);

    const { checkSessions } = mesh.auth;
    mesh.auth.checkSessions = async ({ tokenIds }) => ({ revokedSessionIds: [], revokedTokenIds: tokenIds });
    const old = await mesh.key.sign(apiClaims('u3', 'session', 'jti-old'), { typ: 'api+jwt' });
    expect(await gateway.json('GET', '/v1/me', { token: old })).toEqual({
      status: 401,
      body: problem(401, 'session_revoked', 'This login was ended; sign in again'),
    });
    if (checkSessions) mesh.auth.checkSessions = checkSessions;
  });

  it('end when auth says so: one login, one API token, or every earlier login of a person', async () => {
    const status = async (token: string) => (await gateway.ask('GET', '/v1/me', { token })).status;
    const one = await mesh.key.sign(loginClaims('r1', 'sid-one'));
    const other = await mesh.key.sign(loginClaims('r1', 'sid-other'));
    const api = await mesh.key.sign(apiClaims('r1', 'session', 'jti-r1'), { typ: 'api+jwt' });
    expect([await status(one), await status(other), await status(api)]).toEqual([200, 200, 200]);

    mesh.revoke({ sessionId: 'sid-one' });
    await expect.poll(() => status(one)).toBe(401);
    expect([await status(other), await status(api)]).toEqual([200, 200]);

    mesh.revoke({ userId: 'r1', beforeMs: Date.now() + 1_000 });
    await expect.poll(() => status(other)).toBe(401);
    expect(await status(api)).toBe(200);

    mesh.revoke({ tokenId: 'jti-r1' });
    await expect.poll(() => status(api)).toBe(401);
  });
});
