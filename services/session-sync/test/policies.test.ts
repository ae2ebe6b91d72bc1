import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { shippedPolicies } from '@skein/sync-core';
import { describe, expect, it } from 'vitest';
import { collectionPolicies } from '../src/adapters/collection-policies.ts';

const faultsOf = (policies: unknown): string[] => {
  try {
    collectionPolicies(policies);
  } catch (error) {
    const { code, errors } = error as { code: string; errors: { path: string; message: string }[] };
    return [code, ...errors.map(({ path, message }) => `${path}: ${message}`)];
  }
  return [];
};
const fine = { strategy: 'server_wins', deletes: 'delete_wins' } as const;

describe('collection policies', () => {
  it('are taken as the how-to shows them', () => {
    const page = readFileSync(
      join(import.meta.dirname, '../../../docs/how-to/set-the-rules-of-collections.md'),
      'utf8',
    );
    const [, json = ''] = /```json\n(.*?)```/s.exec(page) ?? [];
    const { rulesOf, retained } = collectionPolicies(JSON.parse(json));
    expect(rulesOf('project').faultOf({ title: 'x', progress: 101 })).toBe('/progress');
    expect(rulesOf('price_list').policy.direction).toBe('pull');
    expect(rulesOf('anything').policy.strategy).toBe('newest_wins');
    expect(retained()).toEqual([{ collection: 'project', days: 365 }]);
  });

  it('are the shipped ones, with a default for all other collections', () => {
    const { rulesOf, retained } = collectionPolicies();
    for (const [name, policy] of Object.entries(shippedPolicies))
      expect(rulesOf(name).policy).toEqual(policy);
    expect(rulesOf('anything').policy).toEqual(fine);
    expect(rulesOf('__proto__').policy).toEqual(fine);
    expect(retained()).toEqual([]);
  });

  it('of an operator stand over the shipped ones, and give the default as well', () => {
    const { rulesOf, retained } = collectionPolicies({
      task: { ...fine, retentionDays: 30 },
      '*': { ...fine, strategy: 'newest_wins' },
    });
    expect(rulesOf('task').policy.strategy).toBe('server_wins');
    expect(rulesOf('anything').policy.strategy).toBe('newest_wins');
    expect(rulesOf('knowledge_base').policy.strategy).toBe('manual');
    expect(retained()).toEqual([{ collection: 'task', days: 30 }]);
  });

  it.each([
    ['no object', 7, ['invalid_request', ': Invalid input: expected record, received number']],
    ['an unknown strategy', { a: { ...fine, strategy: 'best' } }, ['invalid_request', /^a\.strategy: /]],
    ['an unknown field', { a: { ...fine, stategy: 'merge' } }, ['invalid_request', /^a: .*stategy/]],
    ['no delete rule', { a: { strategy: 'merge' } }, ['invalid_request', /^a\.deletes: /]],
    ['a name with a space', { 'a b': fine }, ['invalid_request', /^a b: /]],
    [
      'an unknown resolver',
      { a: { ...fine, strategy: 'merge', resolvers: { '/x': 'magic' } } },
      ['invalid_request', /^a\.resolvers\.\/x: /],
    ],
    [
      'a resolver for something that is no pointer',
      { a: { ...fine, strategy: 'merge', resolvers: { x: 'client' } } },
      ['invalid_request', /JSON Pointer/],
    ],
    [
      'resolvers without merging',
      { a: { ...fine, resolvers: { '/x': 'client' } } },
      ['invalid_request', 'a: resolvers and otherwise belong to the strategy merge'],
    ],
    [
      'a collection nobody would see',
      { a: { ...fine, direction: 'push' } },
      ['invalid_request', 'a.direction: cannot be push: everybody in a space sees all of it; choose both'],
    ],
    ['no direction', { a: { ...fine, direction: 'up' } }, ['invalid_request', /must be both or pull/]],
    ['no whole day', { a: { ...fine, retentionDays: 0.5 } }, ['invalid_request', /^a\.retentionDays: /]],
    [
      'a schema that is none',
      { a: { ...fine, schema: { type: 'text' } } },
      ['invalid_request', /^a\.schema: /],
    ],
    [
      'a keyword nobody knows',
      { a: { ...fine, schema: { lenght: 4 } } },
      ['invalid_request', /^a\.schema: .*lenght/],
    ],
    [
      'the session',
      { session: fine },
      ['invalid_request', 'session: the session has rules of its own, which stay'],
    ],
  ] as const)('with %s are refused, with what is wrong', (_, policies, expected) => {
    const faults = faultsOf(policies);
    expect(faults).toHaveLength(expected.length);
    for (const [at, one] of expected.entries()) expect(faults[at]).toMatch(one);
  });

  it('tell everything that is wrong at once, and leave what was there', () => {
    const policies = collectionPolicies({ a: { ...fine, strategy: 'manual' } });
    const wrong = { a: { ...fine, schema: { type: 'x' } }, b: { ...fine, schema: { type: 'y' } } };
    expect(faultsOf(wrong)).toHaveLength(3);
    expect(() => policies.replace(wrong)).toThrow('a.schema');
    expect(policies.rulesOf('a').policy.strategy).toBe('manual');
    policies.replace({});
    expect(policies.rulesOf('a').policy).toEqual(fine);
  });

  it('have a schema for values: what broke it before it changed may be edited, as long as nothing new is wrong', () => {
    const schema = {
      type: 'object',
      required: ['title'],
      properties: { title: { type: 'string' }, size: { type: 'integer', minimum: 0 } },
    };
    const { faultOf } = collectionPolicies({ a: { ...fine, schema } }).rulesOf('a');
    expect(faultOf({ title: 'x', size: 3, more: true })).toBeUndefined();
    expect(faultOf({ size: 3 })).toBe('/title');
    expect(faultOf({ title: 'x', size: -1 })).toBe('/size');
    expect(faultOf([])).toBe('');
    // A document from before the schema.
    const old = { size: 'large', note: 'a' };
    expect(faultOf({ ...old, note: 'b' }, old)).toBeUndefined();
    expect(faultOf({ ...old, title: 'now it has one' }, old)).toBeUndefined();
    expect(faultOf({ ...old, title: 7 }, old)).toBe('/title');
    expect(faultOf({ title: 'x', size: -1 }, { title: 'x', size: 1 })).toBe('/size');
  });
});
