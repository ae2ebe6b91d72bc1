import {
  createDecipheriv,
  createHmac,
  createPrivateKey,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  sign,
} from 'node:crypto';
import pg from 'pg';
import { newPerson, type TestMesh } from '../support/mesh.ts';
import type { Credential } from './credential-cases.ts';

type Claims = Readonly<Record<string, unknown>>;

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const decode = (part = ''): Claims => JSON.parse(Buffer.from(part, 'base64url').toString()) as Claims;

const signed = (header: Claims, claims: Claims, signer: (input: Buffer) => Buffer): string => {
  const input = `${encode(header)}.${encode(claims)}`;
  return `${input}.${signer(Buffer.from(input)).toString('base64url')}`;
};

const eddsa = (key: KeyObject) => (input: Buffer) => sign(null, input, key);

/**
 * The key auth signs with, opened with the master key as auth does it (AES-256-GCM: version, nonce, ciphertext, tag;
 * the key id is authenticated). Only so can a token be expired and genuine without waiting for it.
 */
const signingKey = async (on: TestMesh, kid: string): Promise<KeyObject> => {
  const client = new pg.Client({ connectionString: on.mesh.postgres?.url });
  await client.connect();
  try {
    const { rows } = await client.query<{ sealed_private: Buffer }>(
      'select sealed_private from auth.signing_keys where kid = $1',
      [kid],
    );
    const sealed = rows[0]?.sealed_private;
    if (!sealed) throw new Error(`auth has no key ${kid}`);
    const master = hkdfSync('sha256', on.mesh.secrets.authMasterKey, '', 'skein auth signing keys v1', 32);
    const decipher = createDecipheriv('aes-256-gcm', Buffer.from(master), sealed.subarray(1, 13));
    decipher.setAAD(Buffer.from(kid)).setAuthTag(sealed.subarray(-16));
    const plain = Buffer.concat([decipher.update(sealed.subarray(13, -16)), decipher.final()]);
    return createPrivateKey({ key: plain, format: 'der', type: 'pkcs8' });
  } finally {
    await client.end();
  }
};

/** A token whose login was ended, once the gateway knows it. */
const loggedOut = async (url: string): Promise<string> => {
  const { accessToken } = await newPerson(url);
  const authorization = `Bearer ${accessToken}`;
  await fetch(`${url}/v1/auth/logout`, { method: 'POST', headers: { authorization } });
  const deadline = Date.now() + 10_000;
  while ((await fetch(`${url}/v1/me`, { headers: { authorization } })).status !== 401) {
    if (Date.now() > deadline) throw new Error('the end of the login did not reach the gateway');
  }
  return accessToken;
};

/** Every bad credential, made from a good token. */
export const badCredentials = async (
  on: TestMesh,
  token: string,
  otherUser: string,
): Promise<Readonly<Record<Exclude<Credential, 'none'>, string>>> => {
  const [head, body, signature] = token.split('.');
  const header = decode(head);
  const claims = decode(body);
  const kid = String(header['kid']);
  const own = generateKeyPairSync('ed25519');
  const ownJwk = own.publicKey.export({ format: 'jwk' });
  const real = eddsa(await signingKey(on, kid));
  const { keys } = (await (await fetch(`${on.url}/.well-known/jwks.json`)).json()) as {
    keys: { kid: string; x: string }[];
  };
  const publicKey = keys.find((key) => key.kid === kid)?.x ?? '';
  const hmac = (input: Buffer) => createHmac('sha256', publicKey).update(input).digest();
  const now = Math.floor(Date.now() / 1_000);
  return {
    'no token': 'not-a-token-at-all.x.y',
    'without algorithm': `${encode({ ...header, alg: 'none' })}.${body}.`,
    symmetric: signed({ ...header, alg: 'HS256' }, claims, hmac),
    'by another key': signed(header, claims, eddsa(own.privateKey)),
    'with its own key': signed({ ...header, jwk: ownJwk }, claims, eddsa(own.privateKey)),
    'of an unknown key': signed({ ...header, kid: 'nobody' }, claims, eddsa(own.privateKey)),
    changed: `${head}.${encode({ ...claims, sub: otherUser })}.${signature}`,
    'of another audience': signed(header, { ...claims, aud: 'skein-internal' }, real),
    'of another type': signed({ ...header, typ: 'JWT' }, claims, real),
    expired: signed(header, { ...claims, iat: now - 700, nbf: now - 700, exp: now - 100 }, real),
    'logged out': await loggedOut(on.url),
  };
};
