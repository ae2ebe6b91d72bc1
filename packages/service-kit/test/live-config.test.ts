import { expect, it } from 'vitest';
import {
  describeConfig,
  faultsOfLayer,
  integer,
  list,
  live,
  liveConfig,
  readConfig,
  secret,
  text,
} from '../src/index.ts';

const schema = {
  RATE: live(integer('A rate', { min: 1, max: 100, fallback: 10 })),
  ORIGINS: live(list('Some origins', { fallback: [] })),
  RULES: live({
    ...text('Rules', { fallback: '{}' }),
    parse: (given: string) => JSON.stringify(JSON.parse(given)),
  }),
  NAME: text('A name', { fallback: 'skein' }),
  KEY: secret('A key', { fallback: '' }),
};
const layer = (scope: string, settings: Record<string, unknown>, fault?: string) => ({
  ...{ scope, settings },
  ...(fault === undefined ? {} : { fault }),
});

it('a live setting has the value of now, and its listeners are told of each other one', () => {
  const config = readConfig(schema, {});
  const told: number[] = [];
  const stop = liveConfig(config).onChange('RATE', (rate) => told.push(rate));
  expect(liveConfig(config).take([layer('all', { RATE: 20 })])).toEqual(['RATE']);
  expect(liveConfig(config).take([layer('all', { RATE: 20 })])).toEqual([]);
  expect(config.RATE).toBe(20);
  stop();
  liveConfig(config).take([]);
  expect(config.RATE).toBe(10);
  expect(told).toEqual([20]);
});

it('numbers, lists and objects are what they would be as text of the environment', () => {
  const config = readConfig(schema, {});
  liveConfig(config).take([
    layer('all', { RATE: '20', ORIGINS: ['a', 'b'], RULES: { task: { strategy: 'merge' } } }),
  ]);
  expect(config).toMatchObject({ RATE: 20, ORIGINS: ['a', 'b'], RULES: '{"task":{"strategy":"merge"}}' });
  liveConfig(config).take([layer('all', { RATE: null, ORIGINS: [[1]], RULES: '{' })]);
  expect(config).toMatchObject({ RATE: 20, ORIGINS: ['[[1]]'], RULES: '{"task":{"strategy":"merge"}}' });
  expect(liveConfig(config).faults).toEqual([
    'all: RATE has no value, not ""',
    expect.stringContaining('all: RULES '),
  ]);
});

it('a document that cannot be read changes nothing that a stronger one does not say', () => {
  const config = readConfig(schema, {});
  liveConfig(config).take([layer('gateway', {}), layer('all', { RATE: 20, ORIGINS: 'a' })]);
  liveConfig(config).take([layer('gateway', { RATE: 30 }), layer('all', {}, 'is not YAML')]);
  expect(config).toMatchObject({ RATE: 30, ORIGINS: ['a'] });
  expect(liveConfig(config).faults).toEqual(['all: is not YAML']);
});

it('a listener that fails is told of, and holds up no other', () => {
  const config = readConfig(schema, {});
  const told: unknown[] = [];
  liveConfig(config).onChange('RATE', () => {
    throw new Error('no room');
  });
  liveConfig(config).onChange('RATE', (rate) => told.push(rate));
  liveConfig(config).take([layer('all', { RATE: 20 })]);
  expect(told).toEqual([20]);
  expect(liveConfig(config).faults).toEqual(['RATE could not be put to use: Error: no room']);
});

it('names that every object has are no settings', () => {
  expect(faultsOfLayer(schema, layer('all', { toString: 1, constructor: 2 }))).toEqual([
    'all: "toString" is not one of its settings',
    'all: "constructor" is not one of its settings',
  ]);
});

it('tells what holds and by whom, and no secret', () => {
  const config = readConfig(schema, { KEY: 'k'.repeat(32), RATE: '5' });
  liveConfig(config).take([layer('gateway', { RATE: 20 }), layer('all', { ORIGINS: ['a'] })]);
  expect(liveConfig(config).states()).toEqual([
    { name: 'RATE', value: '5', source: 'environment', overridden: 'gateway', live: true },
    { name: 'ORIGINS', value: 'a', source: 'all', live: true },
    { name: 'RULES', value: '{}', source: 'default', live: true },
    { name: 'NAME', value: 'skein', source: 'default', live: false },
    { name: 'KEY', value: 'hidden', source: 'environment', live: false },
  ]);
});

it('a copy with other values stays as it is', () => {
  const config = readConfig(schema, {});
  const copy = { ...config, NAME: 'other' };
  liveConfig(config).take([layer('all', { RATE: 20 })]);
  expect(liveConfig(copy).take([layer('all', { RATE: 30 })])).toEqual([]);
  expect([config.RATE, copy.RATE]).toEqual([20, 10]);
});

it('a secret cannot be live, and the help says what is', () => {
  expect(() => live(secret('A key'))).toThrow('a secret cannot be changed by the config centre');
  expect(describeConfig(schema)).toContain('RATE  A rate [number, default 10, live]');
});
