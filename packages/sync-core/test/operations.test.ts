import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  applyOps,
  canonicalJson,
  compareHlc,
  encodeHlc,
  fieldKey,
  fieldPath,
  type Json,
  jsonEqual,
  type Op,
  resolve,
} from '../src/index.ts';

const json = fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>;
const path = fc.array(fc.constantFrom('a', 'b', 'c/d', '~'), { minLength: 1, maxLength: 3 });
const op: fc.Arbitrary<Op> = fc.oneof(
  fc.record({ op: fc.constant('set' as const), path, value: json }),
  fc.record({ op: fc.constant('unset' as const), path }),
  fc.record({ op: fc.constantFrom('add' as const, 'remove' as const), path, value: json }),
  fc.record({ op: fc.constant('increment' as const), path, value: fc.integer({ min: -99, max: 99 }) }),
);
const ops = fc.array(op, { maxLength: 5 });
const document = fc.dictionary(fc.constantFrom('a', 'b', 'c/d', '~'), json) as fc.Arbitrary<Json>;

describe('operations', () => {
  it('come to the same however a list of them is cut, and refuse the whole of it or nothing', () => {
    fc.assert(
      fc.property(document, ops, ops, (value, first, second) => {
        const text = canonicalJson(value);
        const whole = applyOps(value, [...first, ...second]);
        const begun = applyOps(value, first);
        const cut = 'fault' in begun ? begun : applyOps(begun.value, second);
        expect(whole).toEqual(cut);
        // Nothing is changed in place, also not by what was refused.
        expect(canonicalJson(value)).toBe(text);
      }),
    );
  });

  it('change nothing when they are done again, but for counting', () => {
    fc.assert(
      fc.property(document, op, (value, one) => {
        if (one.op === 'increment') return;
        const once = applyOps(value, [one]);
        if ('fault' in once) return;
        expect(jsonEqual(once.value, (applyOps(once.value, [one]) as { value: Json }).value)).toBe(true);
      }),
    );
  });

  it('come to the same in any order when they add to sets and counters', () => {
    const adding = fc.array(
      fc.oneof(
        fc.record({ op: fc.constant('add' as const), path: fc.constant(['set']), value: json }),
        fc.record({
          op: fc.constant('increment' as const),
          path: fc.constant(['count']),
          value: fc.integer({ min: -99, max: 99 }),
        }),
      ),
      { maxLength: 6 },
    );
    const sorted = (list: readonly Op[]) => {
      const { value } = applyOps({}, list) as { value: { set?: Json[]; count?: number } };
      return { count: value.count, set: value.set?.map(canonicalJson).sort() };
    };
    fc.assert(
      fc.property(adding, (list) => {
        expect(sorted([...list].reverse())).toEqual(sorted(list));
      }),
    );
  });
});

describe('removing from sets', () => {
  const few = fc.nat(4);
  const sets = fc.record({ set: fc.uniqueArray(few) });
  const change = fc.record({
    op: fc.constantFrom('add' as const, 'remove' as const),
    path: fc.constant(['set']),
    value: few,
  });
  const members = (value: Json, list: readonly Op[]) => {
    const applied = applyOps(value, list) as { value: { set?: number[] } };
    return (applied.value.set ?? []).toSorted();
  };

  it('comes to the same in any order, and however often, among removals', () => {
    fc.assert(
      fc.property(sets, fc.array(few, { maxLength: 5 }), (value, removed) => {
        const list = removed.map((one): Op => ({ op: 'remove', path: ['set'], value: one }));
        const left = value.set.filter((one) => !removed.includes(one)).toSorted();
        expect(members(value, list)).toEqual(left);
        expect(members(value, [...list, ...list].reverse())).toEqual(left);
      }),
    );
  });

  it('comes to the same before and after adding something else; of one value the last word counts', () => {
    fc.assert(
      fc.property(sets, change, change, (value, first, second) => {
        if (first.value !== second.value)
          expect(members(value, [first, second])).toEqual(members(value, [second, first]));
        else expect(members(value, [first, second])).toEqual(members(value, [second]));
      }),
    );
  });
});

describe('resolvers', () => {
  const number = fc.integer();
  /** What stands after a client's value met the server's. */
  const stands = (name: 'larger' | 'smaller' | 'union', server: Json, client: Json): Json => {
    const winner = resolve(name, server, client, false);
    return typeof winner === 'string' ? (winner === 'server' ? server : client) : winner.joined;
  };
  const asSet = (value: Json) => [...new Set((value as Json[]).map(canonicalJson))].sort();

  it.each(['larger', 'smaller'] as const)('%s: commutative, associative, idempotent over numbers', (name) => {
    fc.assert(
      fc.property(number, number, number, (a, b, c) => {
        expect(stands(name, a, b)).toBe(stands(name, b, a));
        expect(stands(name, stands(name, a, b), c)).toBe(stands(name, a, stands(name, b, c)));
        expect(stands(name, a, a)).toBe(a);
      }),
    );
  });

  it('union: commutative, associative, idempotent over lists taken as sets', () => {
    const list = fc.array(json, { maxLength: 4 });
    fc.assert(
      fc.property(list, list, list, (a, b, c) => {
        expect(asSet(stands('union', a, b))).toEqual(asSet(stands('union', b, a)));
        expect(asSet(stands('union', stands('union', a, b), c))).toEqual(
          asSet(stands('union', a, stands('union', b, c))),
        );
        expect(asSet(stands('union', a, a))).toEqual(asSet(a));
      }),
    );
  });

  it.each(['newest', 'manual'] as const)(
    '%s: commutative, associative, idempotent over stamped values',
    (name) => {
      const stamped = fc.tuple(fc.integer({ min: 1, max: 10 ** 6 }), fc.nat(3)).map(([ms, device]) => ({
        value: `${ms} ${device}`,
        hlc: encodeHlc({ ms, counter: 0, device: `d${device}` }),
      }));
      type Stamped = { readonly value: string; readonly hlc: string };
      const meet = (server: Stamped, client: Stamped): Stamped =>
        resolve(name, server.value, client.value, compareHlc(client.hlc, server.hlc) > 0) === 'client'
          ? client
          : server;
      fc.assert(
        fc.property(stamped, stamped, stamped, (a, b, c) => {
          expect(meet(a, b)).toEqual(meet(b, a));
          expect(meet(meet(a, b), c)).toEqual(meet(a, meet(b, c)));
          expect(meet(a, a)).toEqual(a);
        }),
      );
    },
  );

  it('leave to the newest what they cannot compare', () => {
    for (const name of ['larger', 'smaller', 'union'] as const) {
      expect(resolve(name, 'text', 1, true)).toBe('client');
      expect(resolve(name, [1], undefined, false)).toBe('server');
    }
  });
});

describe('equality and names', () => {
  it('calls equal exactly what has the same canonical form', () => {
    fc.assert(
      fc.property(json, json, (a, b) => {
        expect(jsonEqual(a, b)).toBe(canonicalJson(a) === canonicalJson(b));
        expect(jsonEqual(a, JSON.parse(canonicalJson(a)) as Json)).toBe(true);
      }),
    );
  });

  it('gives back the path of every field key', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { maxLength: 8 }), (keys) => {
        expect(fieldPath(fieldKey(keys))).toEqual(keys);
      }),
    );
  });
});
