import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { upcastData, type Versioned } from '../src/event-versions.ts';
import {
  type DomainEventType,
  domainEventJsonSchema,
  domainEvents,
  fromCloudEvent,
  toCloudEvent,
  upcastDomainEvent,
} from '../src/index.ts';

const goldenFolder = join(import.meta.dirname, 'golden-events');
const types = Object.keys(domainEvents) as DomainEventType[];
const versions = types.flatMap((type) =>
  Array.from({ length: domainEvents[type].version }, (_, at) => [type, at + 1] as const),
);
const golden = async (type: string, version: number): Promise<unknown> =>
  JSON.parse(await readFile(join(goldenFolder, `${type}.v${version}.json`), 'utf8'));

describe('an event that was published by any release', () => {
  it.each(versions)('%s version %i is read as the newest version', async (type, version) => {
    const event = fromCloudEvent(await golden(type, version));
    expect(event.schemaVersion).toBe(version);
    expect(upcastDomainEvent(event)).toMatchObject({ type, schemaVersion: domainEvents[type].version });
  });

  it.each(types)('%s is written as its golden file of the newest version', async (type) => {
    const file = await golden(type, domainEvents[type].version);
    expect(toCloudEvent(fromCloudEvent(file))).toEqual(file);
  });

  it('has a golden file for every version and none besides', async () => {
    expect((await readdir(goldenFolder)).sort()).toEqual(
      versions.map(([type, version]) => `${type}.v${version}.json`).sort(),
    );
  });

  it('is left for a newer release when its version is not known yet', async () => {
    const event = fromCloudEvent(await golden('user.login', 1));
    expect(() => upcastDomainEvent({ ...event, schemaVersion: 99 })).toThrow(
      expect.objectContaining({ code: 'unavailable', detail: expect.stringContaining('newer release') }),
    );
  });

  it('is none of ours without the envelope', () => {
    for (const json of [null, 1, 'text', {}, { specversion: '1.0', id: '' }])
      expect(() => fromCloudEvent(json)).toThrow();
  });
});

describe('upcasting', () => {
  const entry: Versioned = {
    version: 3,
    upcast: {
      1: (data) => ({ ...(data as object), second: 'added' }),
      2: (data) => {
        const { first, ...rest } = data as { first: string };
        return { ...rest, renamed: first };
      },
    },
  };

  it('goes through every version in between, and changes nothing it was given', () => {
    const data = { first: 'kept' };
    expect(upcastData('t', entry, data, 1)).toEqual({ renamed: 'kept', second: 'added' });
    expect(upcastData('t', entry, { first: 'x', second: 'y' }, 2)).toEqual({ renamed: 'x', second: 'y' });
    expect(data).toEqual({ first: 'kept' });
  });

  it('refuses a version that never was', () => {
    expect(() => upcastData('t', entry, {}, 0)).toThrow(/no version 0/);
  });
});

describe('the JSON Schema of a type', () => {
  it('allows the fields of the catalogue and no others in data', () => {
    expect(domainEventJsonSchema('user.registered')).toMatchObject({
      $id: 'urn:skein:event:user.registered:1',
      properties: {
        source: { const: 'auth' },
        data: { properties: { userId: { type: 'string' } }, additionalProperties: false },
      },
    });
  });
});
