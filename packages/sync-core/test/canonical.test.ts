import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  canonicalJson,
  type Json,
  jsonEqual,
  sha256,
  stateHash,
  stateHashOf,
  toHex,
  valueHash,
} from '../src/index.ts';

const json = () => fc.jsonValue({ maxDepth: 4 }) as fc.Arbitrary<Json>;

describe('canonical JSON', () => {
  it('sorts keys by UTF-16 code units and writes numbers as ECMAScript does (RFC 8785 §3.2)', () => {
    const value = {
      '€': 'Euro',
      '\r': 'CR',
      \ufb33: 'Dalet',
      '1': 1e21,
      '😀': 'Smiley',
      '\u0080': Number('333333333.33333329'),
      ö: 4.5e-7,
    };
    expect(canonicalJson(value)).toBe(
      '{"\\r":"CR","1":1e+21,"\u0080":333333333.3333333,"ö":4.5e-7,"€":"Euro","😀":"Smiley","\ufb33":"Dalet"}',
    );
  });

  it('means the same value, and is the same text for the same value in another key order', () => {
    const shuffled = (value: Json): Json =>
      Array.isArray(value)
        ? value.map(shuffled)
        : typeof value === 'object' && value !== null
          ? Object.fromEntries(
              Object.entries(value as Record<string, Json>)
                .reverse()
                .map(([k, v]) => [k, shuffled(v)]),
            )
          : value;
    fc.assert(
      fc.property(json(), (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
        expect(canonicalJson(shuffled(value))).toBe(canonicalJson(value));
        expect(jsonEqual(value, shuffled(value))).toBe(true);
      }),
    );
  });

  it('refuses what is not JSON and what is nested without end', () => {
    expect(() => canonicalJson(Number.NaN)).toThrow(RangeError);
    let deep: Json = 1;
    for (let n = 0; n < 2_000; n += 1) deep = [deep];
    expect(() => canonicalJson(deep)).toThrow(RangeError);
  });
});

describe('SHA-256', () => {
  it('agrees with OpenSSL on any bytes', () => {
    const native = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => toHex(sha256(bytes)) === native(bytes)),
    );
    for (const length of [0, 55, 56, 63, 64, 65, 100_000])
      expect(toHex(sha256(new Uint8Array(length).fill(7)))).toBe(native(new Uint8Array(length).fill(7)));
  });
});

describe('the state hash', () => {
  const document = fc.record({
    collection: fc.string(),
    id: fc.string(),
    version: fc.nat(),
    hash: json().map((value) => valueHash(value)),
  });

  it('has its published form', () => {
    expect(stateHashOf([])).toBe('1:0000000000000000');
    const one = { collection: 'task', id: 'a', version: 1, hash: valueHash({ done: false }) };
    const digest = createHash('sha256').update(`task\u0000a\u00001\u0000${one.hash}`).digest('hex');
    expect(one.hash).toBe(createHash('sha256').update('{"done":false}').digest('hex'));
    expect(stateHashOf([one])).toBe(`1:${digest.slice(0, 16)}`);
  });

  it('does not depend on the order, and follows changes without the other documents', () => {
    fc.assert(
      fc.property(fc.array(document, { maxLength: 8 }), document, (documents, changed) => {
        expect(stateHashOf([...documents].reverse())).toBe(stateHashOf(documents));
        const following = stateHash();
        for (const one of [...documents, changed]) following.add(one);
        following.remove(changed);
        expect(following.toString()).toBe(stateHashOf(documents));
      }),
    );
  });
});
