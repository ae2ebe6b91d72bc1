import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyOps, decodeMutation, type Json, type Op } from '../src/index.ts';

const valid = {
  seq: 1,
  collection: 'task',
  id: 'a',
  baseVersion: 0,
  ops: [{ op: 'set', path: ['title'], value: 'x' }],
  hlc: '000000000001-0000-phone',
};

describe('decoding a mutation', () => {
  it('takes a valid one as it is and passes over fields it does not know', () => {
    expect(decodeMutation({ ...valid, later: true })).toEqual({ mutation: valid });
  });

  it('takes ids with spaces, slashes and 256 characters outside the BMP', () => {
    for (const id of ['Einkauf 3/4', '🦜'.repeat(256)])
      expect(decodeMutation({ ...valid, id })).toEqual({ mutation: { ...valid, id } });
  });

  it.each([
    ['not an object', 'x', ''],
    ['a seq that is not a count', { ...valid, seq: 0 }, 'seq'],
    ['a fractional base version', { ...valid, baseVersion: 1.5 }, 'baseVersion'],
    ['a collection with a slash', { ...valid, collection: 'a/b' }, 'collection'],
    ['an id with a control character', { ...valid, id: 'a\u0000' }, 'id'],
    ['an id of half a character', { ...valid, id: 'a\ud800' }, 'id'],
    ['an id that is too long', { ...valid, id: '☃'.repeat(257) }, 'id'],
    ['no operations', { ...valid, ops: [] }, 'ops'],
    ['an unknown operation', { ...valid, ops: [{ op: 'move', path: ['a'] }] }, 'ops[0].op'],
    ['a path that is no list', { ...valid, ops: [{ op: 'unset', path: 'a' }] }, 'ops[0].path'],
    [
      'a path too deep',
      { ...valid, ops: [{ op: 'set', path: Array(9).fill('a'), value: 1 }] },
      'ops[0].path',
    ],
    [
      'a prototype key in a path',
      { ...valid, ops: [{ op: 'set', path: ['__proto__'], value: 1 }] },
      'ops[0].path',
    ],
    [
      'a prototype key in a value',
      { ...valid, ops: [{ op: 'set', path: ['a'], value: JSON.parse('{"b":{"__proto__":1}}') }] },
      'ops[0].value',
    ],
    ['U+0000 in a path', { ...valid, ops: [{ op: 'set', path: ['a\u0000b'], value: 1 }] }, 'ops[0].path'],
    ['half a character in a path', { ...valid, ops: [{ op: 'unset', path: ['\udc00'] }] }, 'ops[0].path'],
    [
      'half a character in a value',
      { ...valid, ops: [{ op: 'set', path: ['a'], value: ['\ud83d'] }] },
      'ops[0].value',
    ],
    [
      'half a character in a key of a value',
      { ...valid, ops: [{ op: 'set', path: ['a'], value: { '\ud83d': 1 } }] },
      'ops[0].value',
    ],
    ['a set without a value', { ...valid, ops: [{ op: 'set', path: ['a'] }] }, 'ops[0].value'],
    [
      'an increment by text',
      { ...valid, ops: [{ op: 'increment', path: ['a'], value: '1' }] },
      'ops[0].value',
    ],
    ['a delete among others', { ...valid, ops: [{ op: 'delete' }, valid.ops[0]] }, 'ops'],
    ['a malformed stamp', { ...valid, hlc: 'now' }, 'hlc'],
  ])('refuses %s and says where', (_, input, path) => {
    expect(decodeMutation(input)).toMatchObject({ fault: { path } });
  });

  it('takes a path only when Postgres can keep its field, and a value only when UTF-8 can', () => {
    const text = fc.string({
      unit: fc.constantFrom('a', 'é', '🦜', '\u0000', '\ud800', '/', '~'),
      maxLength: 6,
    });
    fc.assert(
      fc.property(fc.array(text, { maxLength: 8 }), text, (path, value) => {
        const decoded = decodeMutation({ ...valid, ops: [{ op: 'set', path, value }] });
        const fit =
          path.every((key) => key.isWellFormed() && !key.includes('\u0000')) && value.isWellFormed();
        expect('mutation' in decoded).toBe(fit);
      }),
    );
  });

  it('never throws, whatever it is given', () => {
    fc.assert(
      fc.property(fc.anything(), (input) => {
        decodeMutation(input);
      }),
    );
  });
});

describe('applying operations', () => {
  const apply = (value: Json | undefined, ...ops: Op[]) => applyOps(value, ops);

  it('makes missing objects on the way and changes nothing in place', () => {
    const before = Object.freeze({ kept: 1 });
    expect(apply(before, { op: 'set', path: ['a', 'b'], value: 2 })).toEqual({
      value: { kept: 1, a: { b: 2 } },
    });
  });

  it('treats arrays as sets by deep equality, absent being empty', () => {
    const item = { x: 1, y: 2 };
    const added = apply(
      {},
      { op: 'add', path: ['tags'], value: item },
      { op: 'add', path: ['tags'], value: { y: 2, x: 1 } },
    );
    expect(added).toEqual({ value: { tags: [item] } });
    expect(apply({ tags: [item, 3] }, { op: 'remove', path: ['tags'], value: item })).toEqual({
      value: { tags: [3] },
    });
    expect(apply({}, { op: 'remove', path: ['tags'], value: 1 })).toEqual({ value: {} });
  });

  it('counts from 0 and within what a number can hold', () => {
    expect(apply({}, { op: 'increment', path: ['n'], value: 2 })).toEqual({ value: { n: 2 } });
    expect(apply({ n: Number.MAX_SAFE_INTEGER }, { op: 'increment', path: ['n'], value: 1 })).toEqual({
      fault: 'out_of_range',
    });
    expect(apply({ n: 'x' }, { op: 'increment', path: ['n'], value: 1 })).toEqual({ fault: 'not_a_number' });
  });

  it('refuses to go through what is not an object, and then changes nothing at all', () => {
    expect(
      apply({ a: 1 }, { op: 'set', path: ['b'], value: 1 }, { op: 'set', path: ['a', 'b'], value: 1 }),
    ).toEqual({
      fault: 'not_an_object',
    });
  });

  it('never touches a prototype, whatever keys there are', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { maxLength: 3 }), fc.jsonValue(), (path, value) => {
        const decoded = decodeMutation({ ...valid, ops: [{ op: 'set', path, value }] });
        if ('mutation' in decoded) applyOps({}, decoded.mutation.ops);
        expect(({} as Record<string, unknown>).polluted).toBeUndefined();
        expect(Object.keys(Object.prototype)).toEqual([]);
      }),
    );
  });
});
