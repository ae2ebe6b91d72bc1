import { createHash, webcrypto } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { stateHash } from '../src/state-hash.ts';

const sha256 = (bytes: Uint8Array<ArrayBuffer>) => webcrypto.subtle.digest('SHA-256', bytes);
const document = (id: string, version: number) => ({
  collection: 'task',
  id,
  version,
  hash: `h-${id}`,
  value: null,
});

describe('the state hash', () => {
  it('is the sum of the first eight bytes, modulo 2^64', async () => {
    const one = (text: string) => createHash('sha256').update(text).digest().readBigUInt64BE(0);
    const sum = BigInt.asUintN(64, one('task\0a\x001\0h-a') + one('task\0b\x0012\0h-b'));
    expect(await stateHash([document('a', 1), document('b', 12)], sha256)).toBe(
      `1:${sum.toString(16).padStart(16, '0')}`,
    );
  });

  it('does not depend on the order of documents and starts at zero', async () => {
    expect(await stateHash([], sha256)).toBe('1:0000000000000000');
    const all = [document('a', 1), document('b', 2), document('c', 3)];
    expect(await stateHash(all, sha256)).toBe(await stateHash(all.toReversed(), sha256));
  });
});
