import fc from 'fast-check';
import { expect, it } from 'vitest';
import { rawMember } from '../src/http/raw-json.ts';

it('gives the text of a member as it was written', () => {
  const text = ' { "a" : 1.0 , "b":{"data": [ 1, "x]}\\"" ,{}] , "n":-0.10e+5}, "\\u0063": null,"d":"" }';
  expect(rawMember(text, ['a'])).toBe('1.0');
  expect(rawMember(text, ['b', 'data'])).toBe('[ 1, "x]}\\"" ,{}]');
  expect(rawMember(text, ['b', 'n'])).toBe('-0.10e+5');
  expect(rawMember(text, ['c'])).toBe('null');
  expect(rawMember(text, ['d'])).toBe('""');
});

it('takes the last of two members with the same name, as JSON.parse does', () => {
  expect(rawMember('{"a":1,"b":0,"a":[2]}', ['a'])).toBe('[2]');
});

it('says what is missing', () => {
  expect(() => rawMember('{"data":[1]}', ['data', 'data'])).toThrow('data.data is required');
});

it('agrees with JSON.parse on every object, however it is spaced', () => {
  const object = fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 });
  fc.assert(
    fc.property(object, fc.constantFrom(0, 2, '\t'), (value, indent) => {
      const text = JSON.stringify(value, undefined, indent);
      for (const key of Object.keys(value)) {
        const raw = rawMember(text, [key]);
        expect(text).toContain(raw);
        expect(JSON.parse(raw)).toEqual(JSON.parse(JSON.stringify(value[key])));
      }
    }),
  );
});
