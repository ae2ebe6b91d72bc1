import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Clash,
  type DocumentState,
  decodeMutation,
  encodeHlc,
  type Json,
  type JsonObject,
  type Mutation,
  type Op,
  type Policy,
  settle,
} from '../src/index.ts';

const now = 1_000_000;
const strategies = ['server_wins', 'client_wins', 'newest_wins', 'merge', 'manual'] as const;
const policyOf = (strategy: Policy['strategy'], more: Partial<Policy> = {}): Policy => ({
  strategy,
  deletes: 'delete_wins',
  ...more,
});

/** What every device saw before it went offline. */
const base: DocumentState = {
  version: 1,
  value: { a: 0, b: 0, n: 1, tags: ['x'], inner: { c: 0, d: 0 } },
  fields: { '': { version: 1, hlc: encodeHlc({ ms: 1, counter: 0, device: 'first' }) } },
  deleted: false,
};

/** One offline change: which device, when by its clock, what. */
interface Change {
  readonly device: number;
  readonly ms: number;
  readonly ops: readonly Op[];
}

const mutationOf = ({ device, ms, ops }: Change): Mutation => ({
  ...{ seq: 1, collection: 'c', id: 'd', baseVersion: 1, ops },
  hlc: encodeHlc({ ms, counter: 0, device: `device-${device}` }),
});

const deepFreeze = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) deepFreeze(inner);
    Object.freeze(value);
  }
  return value;
};

/** Changes as they arrive at the server, one after the other. Nothing may be changed in place. */
const arrive = (policy: Policy, changes: readonly Change[], from: DocumentState | undefined = base) => {
  let document: DocumentState | undefined = deepFreeze(from);
  const clashes: Clash[] = [];
  for (const change of changes) {
    const settled = settle(document, mutationOf(change), policy, now, `device-${change.device}`);
    if (!('document' in settled)) throw new Error(settled.outcome);
    document = deepFreeze(settled.document);
    clashes.push(...settled.clashes);
  }
  return { document, value: (document?.value ?? null) as Json, clashes };
};

/** As sets: the order of items in an array is that of their arrival. */
const asSets = (value: Json): Json =>
  Array.isArray(value)
    ? [...new Set(value.map((item: Json) => JSON.stringify(item)))].sort()
    : typeof value === 'object' && value !== null
      ? Object.fromEntries(Object.entries(value as JsonObject).map(([key, one]) => [key, asSets(one)]))
      : value;

const set = (path: readonly string[], value: Json): Op => ({ op: 'set', path, value });
const onlySet = ([op]: readonly Op[]): Extract<Op, { op: 'set' }> => {
  if (op?.op !== 'set') throw new Error('one set was made');
  return op;
};
const leafPath = fc.constantFrom(['a'], ['b'], ['inner', 'c'], ['inner', 'd'], ['new', 'e']);

/** Changes of up to four devices, each device in its own order, times all different, values all different. */
const offline = <T>(
  change: fc.Arbitrary<T>,
  toOps: (change: T, unique: number) => readonly Op[],
  { perDevice = 3 } = {},
) =>
  fc
    .array(fc.array(change, { minLength: 1, maxLength: perDevice }), { minLength: 1, maxLength: 4 })
    .chain((devices) => {
      const total = devices.flat().length;
      return fc
        .tuple(
          fc.uniqueArray(fc.integer({ min: 10, max: 900_000 }), { minLength: total, maxLength: total }),
          fc.array(fc.nat(1_000), { minLength: total, maxLength: total }),
          fc.array(fc.nat(1_000), { minLength: total, maxLength: total }),
        )
        .map(([times, first, second]) => {
          let unique = 0;
          const left = [...times];
          const queues = devices.map((changes, device) => {
            const own = left.splice(0, changes.length).sort((x, y) => x - y);
            return changes.map((one, at): Change => {
              unique += 1;
              return { device, ms: own[at] as number, ops: toOps(one, unique) };
            });
          });
          // An order of arrival: whose turn it is, as long as there are any.
          const interleave = (turns: readonly number[]): Change[] => {
            const rest = queues.map((queue) => [...queue]);
            const order: Change[] = [];
            for (const turn of turns) {
              const open = rest.filter((queue) => queue.length > 0);
              const next = open[turn % open.length]?.shift();
              if (next) order.push(next);
            }
            return order;
          };
          return { queues, one: interleave(first), other: interleave(second) };
        });
    });

describe('whatever order offline devices come back in', () => {
  it.each(['newest_wins', 'manual'] as const)('%s ends with the newest value of every field', (strategy) => {
    const arbitrary = offline(leafPath, (path, unique) => [set(path, unique)]);
    fc.assert(
      fc.property(arbitrary, ({ one, other }) => {
        const [first, second] = [arrive(policyOf(strategy), one), arrive(policyOf(strategy), other)];
        expect(first.value).toEqual(second.value);
        const newest = new Map<string, Change>();
        for (const change of [...one].sort((x, y) => x.ms - y.ms))
          newest.set(JSON.stringify(change.ops[0]?.path), change);
        for (const { ops } of newest.values()) {
          const op = onlySet(ops);
          expect(op.path.reduce<unknown>((here, key) => (here as never)[key], first.value)).toBe(op.value);
        }
      }),
    );
  });

  it('merge joins sets and counters, whatever each device did how often', () => {
    const change = fc.oneof(
      fc.record({
        op: fc.constant('add' as const),
        path: fc.constantFrom(['tags'], ['more']),
        value: fc.nat(5),
      }),
      fc.record({
        op: fc.constant('increment' as const),
        path: fc.constantFrom(['n'], ['inner', 'count']),
        value: fc.integer({ min: -9, max: 9 }),
      }),
    );
    fc.assert(
      fc.property(
        offline(change, (op) => [op]),
        ({ one, other }) => {
          const [first, second] = [arrive(policyOf('merge'), one), arrive(policyOf('merge'), other)];
          expect(asSets(first.value)).toEqual(asSets(second.value));
          expect([...first.clashes, ...second.clashes]).toEqual([]);
        },
      ),
    );
  });

  it.each(['newest', 'larger', 'smaller', 'union'] as const)(
    'merge by %s ends the same when each device wrote a field once',
    (resolver) => {
      const policy = policyOf('merge', { otherwise: resolver });
      const toOps = (at: number, unique: number) => [
        resolver === 'union' ? set(['tags'], [at, unique]) : set(at % 2 === 0 ? ['a'] : ['b'], unique),
      ];
      fc.assert(
        fc.property(offline(fc.nat(3), toOps, { perDevice: 1 }), ({ one, other }) => {
          expect(asSets(arrive(policy, one).value)).toEqual(asSets(arrive(policy, other).value));
        }),
      );
    },
  );

  it.each(strategies)(
    '%s ends the same when they wrote different fields, and nothing clashes',
    (strategy) => {
      const toOps = (_: number, unique: number) => [set([`f${unique}`], unique)];
      fc.assert(
        fc.property(offline(fc.nat(), toOps), ({ one, other }) => {
          const [first, second] = [arrive(policyOf(strategy), one), arrive(policyOf(strategy), other)];
          expect(first.value).toEqual(second.value);
          expect([...first.clashes, ...second.clashes]).toEqual([]);
        }),
      );
    },
  );
});

describe('which of two offline devices wins a field', () => {
  it.each([
    ['server_wins', 'first'],
    ['client_wins', 'last'],
  ] as const)('%s: who came back %s, whatever their clocks say', (strategy, which) => {
    const toOps = (_: number, unique: number) => [set(['a'], unique)];
    fc.assert(
      fc.property(offline(fc.nat(), toOps, { perDevice: 1 }), ({ one }) => {
        const written = one.map(({ ops }) => onlySet(ops).value);
        const { value } = arrive(policyOf(strategy), one);
        expect((value as JsonObject)['a']).toBe(which === 'first' ? written[0] : written.at(-1));
      }),
    );
  });

  it.each(strategies)('%s: a delete against an edit ends the same whichever comes first', (strategy) => {
    const both = fc.tuple(leafPath, fc.constantFrom('delete_wins' as const, 'edit_wins' as const));
    fc.assert(
      fc.property(both, ([path, deletes]) => {
        const edit: Change = { device: 1, ms: 500, ops: [set(path, 'edited')] };
        const remove: Change = { device: 2, ms: 600, ops: [{ op: 'delete', path: [] }] };
        const end = (changes: readonly Change[]) => {
          let document: DocumentState | undefined = base;
          for (const change of changes) {
            const policy = policyOf(strategy, { deletes });
            const settled = settle(document, mutationOf(change), policy, now, `device-${change.device}`);
            if ('document' in settled) document = settled.document;
          }
          return { deleted: document?.deleted, value: document?.deleted ? null : document?.value };
        };
        expect(end([edit, remove])).toEqual(end([remove, edit]));
        expect(end([edit, remove]).deleted).toBe(deletes === 'delete_wins');
      }),
    );
  });
});

describe('whatever the strategy', () => {
  it.each(strategies)(
    '%s takes a device’s own changes in its order: it never clashes with itself',
    (strategy) => {
      const change = fc.oneof(
        leafPath.map(
          (path) =>
            (unique: number): Op =>
              set(path, unique),
        ),
        fc.constant((unique: number): Op => set([], { a: unique })),
        fc.constant((unique: number): Op => ({ op: 'add', path: ['tags'], value: unique })),
      );
      fc.assert(
        fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), (changes) => {
          const own = changes.map((make, at): Change => ({ device: 0, ms: 100 + at, ops: [make(at + 10)] }));
          const together: Change = { device: 0, ms: 100, ops: own.flatMap(({ ops }) => ops) };
          const alone = arrive(policyOf(strategy), own);
          expect(alone.clashes).toEqual([]);
          expect(alone.value).toEqual(arrive(policyOf(strategy), [together]).value);
        }),
      );
    },
  );

  it.each(strategies)(
    '%s loses nothing: every value written is there, was replaced knowingly, or is kept',
    (strategy) => {
      const arbitrary = offline(leafPath, (path, unique) => [set(path, unique)]);
      fc.assert(
        fc.property(arbitrary, ({ queues, one }) => {
          const { value, clashes } = arrive(policyOf(strategy), one);
          const kept = JSON.stringify([value, clashes]);
          for (const queue of queues)
            for (const [at, { ops }] of queue.entries()) {
              const op = onlySet(ops);
              const replaced = queue
                .slice(at + 1)
                .some((later) => JSON.stringify((later.ops[0] as Op).path) === JSON.stringify(op.path));
              if (!replaced)
                expect(JSON.parse(kept)).toSatisfy(() => new RegExp(`\\b${op.value}\\b`).test(kept));
            }
        }),
      );
    },
  );

  it.each(strategies)('%s changes nothing when what is there is said again', (strategy) => {
    const op = fc.oneof(
      leafPath.map((path): Op => set(path, 7)),
      leafPath.map((path): Op => ({ op: 'unset', path })),
      fc.nat(3).map((value): Op => ({ op: 'add', path: ['tags'], value })),
      fc.constant<Op>({ op: 'remove', path: ['tags'], value: 'x' }),
    );
    const changes = fc.array(fc.record({ device: fc.nat(2), ms: fc.nat(900_000), op }), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(changes, (list) => {
        const policy = policyOf(strategy);
        const all = list.map(({ device, ms, op: one }): Change => ({ device, ms, ops: [one] }));
        const last = all.at(-1) as Change;
        const { document, value } = arrive(policy, all);
        expect(arrive(policy, [last], document).value).toEqual(value);
      }),
    );
  });

  // Five hundred large inputs, on a machine that may have other things to do.
  it('takes any JSON at all: a mutation or a fault, never an exception, and nothing of a prototype', {
    timeout: 120_000,
  }, () => {
    const key = fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', 'a', 'tags', 'inner'));
    const odd = fc.oneof(fc.jsonValue(), fc.constantFrom(2 ** 53, -(2 ** 53), 1e308, -0, Number.NaN, null));
    const op = fc.record({
      op: fc.oneof(fc.constantFrom('set', 'unset', 'add', 'remove', 'increment', 'delete'), odd),
      path: fc.oneof(fc.array(key, { maxLength: 9 }), odd),
      value: fc.oneof(odd, fc.dictionary(key, odd)),
    });
    const input = fc.record({
      seq: fc.oneof(fc.nat(), odd),
      collection: fc.oneof(fc.constant('c'), key, odd),
      id: fc.oneof(fc.constant('d'), key, odd),
      baseVersion: fc.oneof(fc.nat(3), odd),
      ops: fc.oneof(fc.array(op, { maxLength: 4 }), fc.array(op, { minLength: 101, maxLength: 110 }), odd),
      hlc: fc.oneof(fc.constant(encodeHlc({ ms: now, counter: 0, device: 'd' })), fc.string(), odd),
    });
    fc.assert(
      fc.property(input, fc.constantFrom(...strategies), (given, strategy) => {
        const decoded = decodeMutation(given);
        if (!('mutation' in decoded)) return;
        const settled = settle(deepFreeze(base), deepFreeze(decoded.mutation), policyOf(strategy), now, 'w');
        const text = JSON.stringify('document' in settled ? settled.document : settled);
        expect(text).not.toContain('__proto__');
        expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
      }),
      { numRuns: 500 },
    );
  });
});
