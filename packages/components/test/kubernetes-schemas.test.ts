import { describe, expect, it } from 'vitest';
import { builtInKinds, customKinds, strict } from '../src/kubernetes-schemas.ts';

describe('schemas of Kubernetes objects', () => {
  it('refuse fields they do not name, at every depth', () => {
    const schema = {
      properties: { spec: { description: 'prose', properties: { host: { type: 'string' } } } },
    };
    expect(strict(schema)).toEqual({
      properties: { spec: { properties: { host: { type: 'string' } }, additionalProperties: false } },
      additionalProperties: false,
    });
  });

  it('stay open where a map or anything at all is meant, and inside combinations', () => {
    const map = { properties: { a: {} }, additionalProperties: { type: 'string' } };
    expect(strict(map)).toEqual(map);
    expect(strict({ properties: { a: {} }, 'x-kubernetes-preserve-unknown-fields': true })).toEqual({
      properties: { a: {} },
    });
    expect(strict({ oneOf: [{ properties: { a: {} } }] })).toEqual({ oneOf: [{ properties: { a: {} } }] });
  });

  it('keep a field that is called like a word of the schema language', () => {
    expect(strict({ properties: { description: { type: 'string' }, not: { properties: {} } } })).toEqual({
      properties: {
        description: { type: 'string' },
        not: { properties: {}, additionalProperties: false },
      },
      additionalProperties: false,
    });
  });

  it('are one for each built-in kind, with the definitions it needs', () => {
    const ofKind = (kind: string) => [{ group: 'apps', version: 'v1', kind }];
    const [one, ...others] = builtInKinds({
      a: {
        properties: { b: { $ref: '#/definitions/b' } },
        'x-kubernetes-group-version-kind': ofKind('Thing'),
      },
      b: { type: 'string' },
      c: { type: 'string' },
      aList: { properties: {}, 'x-kubernetes-group-version-kind': ofKind('ThingList') },
    });
    expect(others).toEqual([]);
    expect(one).toMatchObject({ group: 'apps', version: 'v1', kind: 'Thing' });
    expect(Object.keys(one?.schema['definitions'] ?? {})).toEqual(['a', 'b']);
  });

  it('are one for each version of a custom kind, with what every object has', () => {
    const version = (name: string) =>
      `{ name: ${name}, schema: { openAPIV3Schema: { properties: { spec: {} } } } }`;
    const kinds = customKinds(`
kind: CustomResourceDefinition
spec: { group: x.io, names: { kind: Thing }, versions: [${version('v1')}, ${version('v2')}] }
---
kind: Other
`);
    expect(kinds.map(({ version, kind }) => `${kind} ${version}`)).toEqual(['Thing v1', 'Thing v2']);
    expect(Object.keys(kinds[0]?.schema['properties'] ?? {})).toEqual([
      'spec',
      'apiVersion',
      'kind',
      'metadata',
    ]);
  });
});
