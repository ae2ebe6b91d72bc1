import { describe, expect, it } from 'vitest';
import {
  ConfigError,
  describeConfig,
  flag,
  integer,
  list,
  milliseconds,
  oneOf,
  port,
  readConfig,
  secret,
  text,
  url,
} from '../src/index.ts';

const schema = {
  NAME: text('A name'),
  PORT: port('A port', { fallback: 8002 }),
  COUNT: integer('A count', { min: 1, max: 10, fallback: 3 }),
  WAIT_MS: milliseconds('A wait', { fallback: 100 }),
  KEY: secret('A key'),
  STORE: url('A store', { schemes: ['postgres:'] }),
  MODE: oneOf('A mode', { values: ['fast', 'safe'], fallback: 'safe' }),
  ON: flag('A switch', { fallback: false }),
  ORIGINS: list('Some origins', { fallback: [] }),
};
const key = 'k'.repeat(32);

describe('configuration', () => {
  it('is read with its types, and defaults where nothing is set', () => {
    const env = {
      NAME: 'skein',
      KEY: key,
      STORE: 'postgres://h/d',
      ORIGINS: 'https://a, https://b',
      ON: 'true',
    };
    expect(readConfig(schema, env)).toEqual({
      NAME: 'skein',
      PORT: 8002,
      COUNT: 3,
      WAIT_MS: 100,
      KEY: key,
      STORE: 'postgres://h/d',
      MODE: 'safe',
      ON: true,
      ORIGINS: ['https://a', 'https://b'],
    });
  });

  it('names every fault at once, and shows no secret', () => {
    const env = {
      PORT: '70000',
      COUNT: '1.5',
      KEY: 'short-secret',
      STORE: 'mysql://root:hunter2@h',
      MODE: 'quick',
      ON: 'yes',
      WAIT_MS: '-1',
    };
    const faults = (() => {
      try {
        readConfig(schema, env);
        return [];
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        return error.faults;
      }
    })();
    expect(faults).toEqual([
      'NAME is required (text): A name',
      'PORT must be a whole number from 0 to 65535, not "70000"',
      'COUNT must be a whole number from 1 to 10, not "1.5"',
      'WAIT_MS must be a whole number from 0 to 86400000, not "-1"',
      'KEY must be at least 32 characters long',
      'STORE must start with postgres:',
      'MODE must be one of fast, safe, not "quick"',
      'ON must be true or false, not "yes"',
    ]);
  });

  it('describes itself, one line a setting', () => {
    const help = describeConfig(schema);
    expect(help).toContain('PORT  A port [port, default 8002]');
    expect(help).toContain('NAME  A name [text, required]');
    expect(help.split('\n')).toHaveLength(Object.keys(schema).length);
  });
});
