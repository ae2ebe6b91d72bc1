import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { argon2Hasher } from '../src/adapters/argon2-hasher.ts';
import { sealerFrom, secretsFrom } from '../src/adapters/master-key.ts';

const masterKey = 'a master key for tests, not used elsewhere';

describe('refresh tokens', () => {
  const secrets = secretsFrom(masterKey, randomBytes);

  it('have 256 bits and are stored as their hash', () => {
    const token = secrets.newToken();
    expect(Buffer.from(token, 'base64url')).toHaveLength(32);
    expect(secrets.newToken()).not.toBe(token);
    expect(secrets.hash(token)).toHaveLength(32);
  });

  it('follow from the parent, the idempotency key and the master key, and from nothing less', () => {
    const child = secrets.child('parent', 'key');
    expect(Buffer.from(child, 'base64url')).toHaveLength(32);
    expect(secrets.child('parent', 'key')).toBe(child);
    expect(secretsFrom(masterKey, randomBytes).child('parent', 'key')).toBe(child);
    const others = [
      secrets.child('parent', 'other'),
      secrets.child('other', 'key'),
      secrets.child('parentk', 'ey'),
      secretsFrom(`${masterKey}!`, randomBytes).child('parent', 'key'),
      secrets.fingerprint('key'),
    ];
    expect(new Set([child, ...others]).size).toBe(6);
  });
});

describe('a sealed secret', () => {
  const sealer = sealerFrom(masterKey, randomBytes);
  const plain = Buffer.from('private');

  it('opens with the same master key in the same place', () => {
    const sealed = sealer.seal(plain, 'kid');
    expect(sealed.includes(plain)).toBe(false);
    expect(sealer.open(sealed, 'kid')).toEqual(plain);
    expect(sealer.seal(plain, 'kid')).not.toEqual(sealed);
  });

  it('opens nowhere else, and not after a change of one bit', () => {
    const sealed = sealer.seal(plain, 'kid');
    expect(() => sealer.open(sealed, 'other')).toThrow();
    expect(() => sealerFrom(`${masterKey}!`, randomBytes).open(sealed, 'kid')).toThrow();
    for (let at = 0; at < sealed.length; at += 1) {
      const changed = Buffer.from(sealed);
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
      expect(() => sealer.open(changed, 'kid')).toThrow();
    }
  });
});

describe('a password hash', () => {
  const hasher = argon2Hasher({ memoryKib: 1_024, passes: 1, lanes: 1 });

  it('is argon2id with the configured cost and a salt of its own', async () => {
    const stored = await hasher.hash('correct horse');
    expect(stored).toMatch(/^\$argon2id\$v=19\$m=1024,t=1,p=1\$/);
    expect(await hasher.hash('correct horse')).not.toBe(stored);
    expect(await hasher.verify(stored, 'correct horse')).toBe(true);
    expect(await hasher.verify(stored, 'Correct horse')).toBe(false);
  });

  it('is outdated once the cost has been raised', async () => {
    const stored = await hasher.hash('correct horse');
    expect(hasher.outdated(stored)).toBe(false);
    expect(argon2Hasher({ memoryKib: 1_024, passes: 2, lanes: 1 }).outdated(stored)).toBe(true);
  });
});
