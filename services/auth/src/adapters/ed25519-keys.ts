import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { AppError } from '@skein/contracts';
import { SignJWT } from 'jose';
import type { KeyCraft } from '../app/keyring.ts';
import type { Sealer } from './master-key.ts';

/** RFC 7638: SHA-256 over the required members of the key, in alphabetical order. */
const thumbprint = (x: string): string =>
  createHash('sha256').update(`{"crv":"Ed25519","kty":"OKP","x":"${x}"}`).digest('base64url');

/** Ed25519 keys that sign JWTs (`EdDSA`, RFC 8037). Signatures are deterministic. */
export const ed25519Keys = (sealer: Sealer): KeyCraft => ({
  create: () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const { x = '' } = publicKey.export({ format: 'jwk' });
    const kid = thumbprint(x);
    return {
      kid,
      publicJwk: { kty: 'OKP', crv: 'Ed25519', x, kid, alg: 'EdDSA', use: 'sig' },
      sealedPrivate: sealer.seal(privateKey.export({ format: 'der', type: 'pkcs8' }), kid),
    };
  },
  open: ({ kid, sealedPrivate }) => {
    let key: KeyObject;
    try {
      key = createPrivateKey({ key: sealer.open(sealedPrivate, kid), format: 'der', type: 'pkcs8' });
    } catch (cause) {
      throw new AppError(
        'unavailable',
        'AUTH_MASTER_KEY does not open the signing keys of this database: set the one they were made with',
        { cause },
      );
    }
    return (typ, claims) =>
      new SignJWT({ ...claims }).setProtectedHeader({ alg: 'EdDSA', typ, kid }).sign(key);
  },
});
