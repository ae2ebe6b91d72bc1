import {
  type BinaryLike,
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  hkdfSync,
} from 'node:crypto';
import type { Secrets } from '../app/ports.ts';

/** Cryptographically strong randomness of a given size. */
export type RandomBytes = (size: number) => Buffer;

/** A key of its own for each purpose (HKDF-SHA256, RFC 5869): one that leaks tells nothing of the others. */
const derive = (masterKey: string, purpose: string): Buffer =>
  Buffer.from(hkdfSync('sha256', masterKey, '', `skein auth ${purpose} v1`, 32));

const mac = (key: Buffer, ...parts: BinaryLike[]): Buffer => {
  const hmac = createHmac('sha256', key);
  for (const part of parts) hmac.update(part);
  return hmac.digest();
};

/** Tokens and fingerprints. A token is 256 bits in base64url. */
export const secretsFrom = (masterKey: string, randomBytes: RandomBytes): Secrets => {
  const refreshKey = derive(masterKey, 'refresh token');
  const fingerprintKey = derive(masterKey, 'idempotency key');
  const tokenIdKey = derive(masterKey, 'access token id');
  const hash = (token: string) => createHash('sha256').update(token).digest();
  return {
    newToken: () => randomBytes(32).toString('base64url'),
    hash,
    // The parent goes in hashed: of fixed length, so no key can pass for the end of a token.
    child: (parent, idempotencyKey) => mac(refreshKey, hash(parent), idempotencyKey).toString('base64url'),
    fingerprint: (idempotencyKey) => mac(fingerprintKey, idempotencyKey).toString('base64url'),
    accessTokenId: (refreshToken) => mac(tokenIdKey, refreshToken).subarray(0, 16).toString('base64url'),
  };
};

/** Seals small secrets for the database. */
export interface Sealer {
  /** `context` is authenticated too: a sealed value works only where it was put. */
  seal(plain: Buffer, context: string): Buffer;
  /** Throws when the master key or the context is another one. */
  open(sealed: Buffer, context: string): Buffer;
}

const version = 1;
const nonceBytes = 12;
const tagBytes = 16;

/** AES-256-GCM: version, nonce, ciphertext, tag. A random nonce is safe for the few keys ever sealed. */
export const sealerFrom = (masterKey: string, randomBytes: RandomBytes): Sealer => {
  const key = derive(masterKey, 'signing keys');
  return {
    seal: (plain, context) => {
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context));
      return Buffer.concat([
        Buffer.of(version),
        nonce,
        cipher.update(plain),
        cipher.final(),
        cipher.getAuthTag(),
      ]);
    },
    open: (sealed, context) => {
      if (sealed[0] !== version) throw new Error(`sealed with version ${sealed[0]}, which is not known`);
      const nonce = sealed.subarray(1, 1 + nonceBytes);
      const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
      decipher.setAAD(Buffer.from(context)).setAuthTag(sealed.subarray(-tagBytes));
      return Buffer.concat([decipher.update(sealed.subarray(1 + nonceBytes, -tagBytes)), decipher.final()]);
    },
  };
};
