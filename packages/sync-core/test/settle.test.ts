import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type DocumentState,
  encodeHlc,
  type Mutation,
  type Op,
  type Policy,
  policyOf,
  settle,
} from '../src/index.ts';

const now = 1_000_000;
const at = (ms: number, device = 'phone') => encodeHlc({ ms, counter: 0, device });
const mutation = (baseVersion: number, ops: readonly Op[], hlc = at(now)): Mutation => ({
  seq: 1,
  collection: 'c',
  id: 'd',
  baseVersion,
  ops,
  hlc,
});
const set = (field: string, value: string | number): Op => ({ op: 'set', path: [field], value });
/** Version 2: `title` was written in version 2, `note` in version 1. */
const document: DocumentState = {
  version: 2,
  value: { title: 'server', note: 'old' },
  fields: { '': { version: 1, hlc: at(1) }, '/title': { version: 2, hlc: at(500) } },
  deleted: false,
};
const policy = (strategy: Policy['strategy'], more: Partial<Policy> = {}): Policy => ({
  strategy,
  deletes: 'delete_wins',
  ...more,
});

describe('settling a mutation', () => {
  it('applies what names the version there is, and merges what touched other fields', () => {
    expect(settle(document, mutation(2, [set('title', 'mine')]), policy('server_wins'), now)).toMatchObject({
      outcome: 'applied',
      document: { version: 3, value: { title: 'mine', note: 'old' } },
      clashes: [],
    });
    expect(settle(document, mutation(1, [set('note', 'mine')]), policy('server_wins'), now)).toMatchObject({
      outcome: 'merged',
      document: { version: 3, value: { title: 'server', note: 'mine' } },
      clashes: [],
    });
  });

  it('does not call it a conflict when both wrote the same', () => {
    expect(settle(document, mutation(1, [set('title', 'server')]), policy('manual'), now)).toMatchObject({
      document: { version: 2 },
      clashes: [],
    });
  });

  it('is stale above the head', () => {
    expect(settle(document, mutation(3, [set('title', 'x')]), policy('merge'), now)).toEqual({
      outcome: 'stale',
    });
  });

  it.each([
    ['server_wins', at(now), 'conflict', 'server'],
    ['client_wins', at(1), 'merged', 'client'],
    ['newest_wins', at(now), 'merged', 'client'],
    ['newest_wins', at(400), 'conflict', 'server'],
    ['manual', at(now), 'conflict', 'client'],
    ['manual', at(400), 'conflict', 'server'],
  ] as const)('by %s (stamp %s) is %s and keeps both sides', (strategy, hlc, outcome, winner) => {
    const settled = settle(document, mutation(1, [set('title', 'mine')], hlc), policy(strategy), now);
    expect(settled).toMatchObject({
      outcome,
      clashes: [
        { field: '/title', winner, serverValue: 'server', clientValue: 'mine', open: strategy === 'manual' },
      ],
      document: { value: { title: winner === 'client' ? 'mine' : 'server' } },
    });
  });

  it('decides field by field: a losing field does not take the others with it', () => {
    expect(
      settle(document, mutation(1, [set('title', 'mine'), set('note', 'mine')]), policy('server_wins'), now),
    ).toMatchObject({ outcome: 'merged', document: { value: { title: 'server', note: 'mine' } } });
  });

  it('merges by resolvers with names, and joins sets and counters without any conflict', () => {
    const diagnosis = policyOf('diagnosis_result');
    const both = { ...document, fields: { '': { version: 2, hlc: at(500) } } };
    expect(
      settle(both, mutation(1, [set('title', 'mine'), set('clientNotes', 'mine')]), diagnosis, now),
    ).toMatchObject({ document: { value: { title: 'server', clientNotes: 'mine' } } });
    const joined = settle(
      both,
      mutation(1, [
        { op: 'add', path: ['tags'], value: 'a' },
        { op: 'increment', path: ['count'], value: 2 },
      ]),
      diagnosis,
      now,
    );
    expect(joined).toMatchObject({
      outcome: 'merged',
      clashes: [],
      document: { value: { tags: ['a'], count: 2 } },
    });
  });

  it('sees a conflict when a whole is written over a changed part, and the other way round', () => {
    const parts = { ...document, fields: { '/a/b': { version: 2, hlc: at(500) } } };
    for (const op of [set('a', 1), { op: 'set', path: ['a', 'b', 'c'], value: 1 } as const])
      expect(settle(parts, mutation(1, [op]), policy('server_wins'), now)).toMatchObject({
        outcome: 'conflict',
      });
    expect(settle(parts, mutation(1, [set('ab', 1)]), policy('server_wins'), now)).toMatchObject({
      outcome: 'merged',
    });
  });

  it('never lets a clock a day ahead win for ever', () => {
    const first = settle(
      document,
      mutation(1, [set('title', 'early')], at(now + 86_400_000)),
      policy('newest_wins'),
      now,
    );
    if (first.outcome !== 'merged') throw new Error('expected merged');
    const later = now + 120_000;
    expect(
      settle(
        first.document,
        mutation(2, [set('title', 'later')], at(later, 'laptop')),
        policy('newest_wins'),
        later,
      ),
    ).toMatchObject({ document: { value: { title: 'later' } } });
  });

  it('knows its writer: what a device wrote itself is no news to it, whatever version it names', () => {
    const queue = ['one', 'two', 'three'].map((text) => mutation(2, [set('title', text)]));
    for (const strategy of ['server_wins', 'manual', 'newest_wins'] as const) {
      let state: DocumentState | undefined = document;
      for (const one of queue) {
        const settled = settle(state, one, policy(strategy), now, 'ann/phone');
        if (!('document' in settled)) throw new Error(settled.outcome);
        expect(settled.clashes).toEqual([]);
        state = settled.document;
      }
      expect(state?.value).toEqual({ title: 'three', note: 'old' });
      // To anybody else it is, also to another person's device of that name.
      for (const writer of ['ann/laptop', 'bob/phone', undefined])
        expect(settle(state, mutation(2, [set('title', 'x')]), policy(strategy), now, writer)).toMatchObject({
          clashes: [{ serverValue: 'three', clientValue: 'x' }],
        });
    }
    const edited = settle(document, mutation(2, [set('note', 'mine')]), policy('merge'), now, 'ann/phone');
    const remove = mutation(2, [{ op: 'delete', path: [] }]);
    const keeps = policy('merge', { deletes: 'edit_wins' });
    const state = 'document' in edited ? edited.document : undefined;
    expect(settle(state, remove, keeps, now, 'ann/phone')).toMatchObject({ document: { deleted: true } });
    expect(settle(state, remove, keeps, now, 'ann/laptop')).toMatchObject({ code: 'edited' });
  });

  it('takes a whole that meets changed parts apart, and goes by the resolver nearest above each', () => {
    const server: DocumentState = {
      ...{ version: 2, deleted: false },
      value: { a: { x: 1, y: 1, z: 1 }, tags: ['s'], kept: true, open: 's' },
      fields: { '': { version: 2, hlc: at(500) } },
    };
    const rules = policy('merge', {
      resolvers: { '/a': 'client', '/a/y': 'larger', '/tags': 'union', '/open': 'manual' },
      otherwise: 'server',
    });
    const client = { a: { x: 2, y: 0, z: 1 }, tags: ['c'], open: 'c', other: 'c' };
    const settled = settle(server, mutation(1, [{ op: 'set', path: [], value: client }]), rules, now);
    expect(settled).toMatchObject({
      outcome: 'conflict',
      document: { value: { a: { x: 2, y: 1, z: 1 }, tags: ['s', 'c'], kept: true, open: 'c' } },
    });
    const clashes = 'clashes' in settled ? settled.clashes : [];
    expect(clashes.map(({ field, resolver, winner, open }) => [field, resolver, winner, open])).toEqual([
      ['/a/x', 'client', 'client', false],
      ['/a/y', 'larger', 'server', false],
      ['/open', 'manual', 'client', true],
      ['/other', 'server', 'server', false],
    ]);
  });

  it('settles as one what has too many parts, and stamps as one what has too many fields', () => {
    const wide = (value: number) =>
      Object.fromEntries(Array.from({ length: 1_500 }, (_, n) => [`k${n}`, value]));
    const server = { ...document, value: wide(1), fields: { '': { version: 2, hlc: at(500), by: 'x' } } };
    const whole = mutation(1, [{ op: 'set', path: [], value: wide(2) }]);
    const settled = settle(server, whole, policy('merge', { otherwise: 'server' }), now);
    expect(settled).toMatchObject({ outcome: 'conflict', clashes: [{ field: '', winner: 'server' }] });
    // Of several writers it is news to each of them, and as new as the newest.
    let state: DocumentState = document;
    for (let n = 0; n < 1_100; n += 1) {
      const hlc = at(n === 5 ? 9_000 : 600);
      const one = settle(
        state,
        mutation(state.version, [set(`k${n}`, n)], hlc),
        policy('merge'),
        now,
        `d${n % 2}`,
      );
      if (!('document' in one) || !one.document) throw new Error(one.outcome);
      state = one.document;
    }
    expect(Object.keys(state.fields).length).toBeLessThan(200);
    expect(state.fields['']).toMatchObject({ hlc: at(9_000) });
    expect(state.fields['']?.by).toBeUndefined();
  });

  describe('of a deleted document', () => {
    const gone: DocumentState = { ...document, version: 3, deleted: true };
    it('is refused when deletes win, and brings it back when edits win', () => {
      const edit = mutation(2, [set('title', 'mine')]);
      expect(settle(gone, edit, policy('merge'), now)).toMatchObject({
        ...{ outcome: 'rejected', code: 'deleted' },
        clashes: [{ field: '', winner: 'server', clientValue: { title: 'mine', note: 'old' } }],
      });
      expect(settle(gone, edit, policy('server_wins', { deletes: 'edit_wins' }), now)).toMatchObject({
        outcome: 'merged',
        document: { version: 4, deleted: false, value: { title: 'mine', note: 'old' } },
      });
    });
    it('never makes a new one out of a version nobody has', () => {
      expect(
        settle(undefined, mutation(2, [set('a', 1)]), policy('merge', { deletes: 'edit_wins' }), now),
      ).toEqual({
        outcome: 'rejected',
        code: 'deleted',
        clashes: [],
      });
    });
    it('makes a new one, with a higher version, for whoever knows nothing of the old', () => {
      expect(settle(gone, mutation(0, [set('a', 1)]), policy('merge'), now)).toMatchObject({
        outcome: 'applied',
        document: { version: 4, deleted: false, value: { a: 1 } },
      });
    });
    it('decides a delete against an unseen edit by the collection', () => {
      const remove = mutation(1, [{ op: 'delete', path: [] }]);
      expect(settle(document, remove, policy('merge'), now)).toMatchObject({
        document: { deleted: true, version: 3 },
      });
      expect(settle(document, remove, policy('merge', { deletes: 'edit_wins' }), now)).toEqual({
        outcome: 'rejected',
        code: 'edited',
        clashes: [],
      });
    });
  });

  const op = fc.oneof(
    fc.record({ op: fc.constant('add' as const), path: fc.constantFrom(['s'], ['t']), value: fc.nat(5) }),
    fc.record({
      op: fc.constant('increment' as const),
      path: fc.constantFrom(['n'], ['m']),
      value: fc.integer({ min: -9, max: 9 }),
    }),
  );
  it('reaches the same value in any order when all operations commute', () => {
    fc.assert(
      fc.property(fc.array(op, { minLength: 1, maxLength: 6 }), (ops) => {
        const run = (list: readonly Op[]) => {
          let state: DocumentState | undefined = { version: 1, value: {}, fields: {}, deleted: false };
          for (const one of list) {
            const settled = settle(state, mutation(1, [one]), policy('merge'), now);
            if (!('document' in settled)) throw new Error(settled.outcome);
            state = settled.document;
          }
          const value = state?.value as { s?: number[]; t?: number[]; n?: number; m?: number };
          return {
            n: value.n ?? 0,
            m: value.m ?? 0,
            s: [...(value.s ?? [])].sort(),
            t: [...(value.t ?? [])].sort(),
          };
        };
        expect(run([...ops].reverse())).toEqual(run(ops));
      }),
    );
  });

  it('loses nothing: whatever did not become the value is in the clashes', () => {
    const strategies = fc.constantFrom('server_wins', 'client_wins', 'newest_wins', 'merge', 'manual');
    fc.assert(
      fc.property(strategies, fc.nat(3), fc.string(), fc.nat(2_000_000), (strategy, base, text, ms) => {
        const settled = settle(document, mutation(base, [set('title', text)], at(ms)), policy(strategy), now);
        if (!('document' in settled)) return;
        const { title: value } = (settled.document?.value ?? {}) as { title?: string };
        const kept = [value, ...settled.clashes.flatMap((clash) => [clash.serverValue, clash.clientValue])];
        expect(kept).toContain(text);
        if (base < 2 && text !== 'server') expect(kept).toContain('server');
      }),
    );
  });
});
