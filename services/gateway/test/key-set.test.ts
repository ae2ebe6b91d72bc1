import { createLogger } from '@skein/telemetry';
import type { FlattenedJWSInput } from 'jose';
import { beforeEach, describe, expect, it } from 'vitest';
import { type KeySet, keySet } from '../src/auth/key-set.ts';
import { signingKey } from './fakes.ts';

const minute = 60_000;
const token = {} as FlattenedJWSInput;
const log = createLogger({ service: 'gateway', instance: 'test', level: 'silent' });

let now = 0;
let fetches = 0;
let published: readonly object[] = [];
let away = false;
let keys: KeySet;
let one: Awaited<ReturnType<typeof signingKey>>;

beforeEach(async () => {
  now = 1_000_000;
  fetches = 0;
  away = false;
  one = await signingKey('one');
  published = [one.jwk];
  keys = keySet({
    fetch: async () => {
      fetches += 1;
      if (away) throw new Error('auth is away');
      return JSON.stringify({ keys: published });
    },
    clock: { now: () => now },
    log,
    sleep: () => new Promise((resolve) => setImmediate(resolve)),
  });
});

const find = (kid: string) => keys.keyFor({ alg: 'EdDSA', kid }, token);

describe('the key set', () => {
  it('asks once for many, and again after ten minutes', async () => {
    await Promise.all([find('one'), find('one'), find('one')]);
    now += 9 * minute;
    await find('one');
    expect(fetches).toBe(1);
    now += minute;
    await find('one');
    expect(fetches).toBe(2);
  });

  it('finds a key that was published since, but asks for unknown ones at most once in 30 s', async () => {
    await find('one');
    const two = await signingKey('two');
    published = [one.jwk, two.jwk];
    now += 30_000;
    await expect(find('two')).resolves.toBeDefined();
    expect(fetches).toBe(2);
    for (let times = 0; times < 100; times += 1) await expect(find(`made-up-${times}`)).rejects.toThrow();
    expect(fetches).toBe(2);
    now += 30_000;
    await expect(find('made-up')).rejects.toThrow();
    expect(fetches).toBe(3);
  });

  it('goes on with old keys for a day while auth is away, and then no longer', async () => {
    await find('one');
    away = true;
    now += 24 * 60 * minute;
    await expect(find('one')).resolves.toBeDefined();
    now += minute;
    await expect(find('one')).rejects.toMatchObject({ code: 'unavailable' });
    away = false;
    now += minute;
    await expect(find('one')).resolves.toBeDefined();
  });

  it('does not ask at every request while auth is away', async () => {
    await find('one');
    away = true;
    now += 11 * minute;
    for (let times = 0; times < 100; times += 1) await find('one');
    expect(fetches).toBe(2);
  });

  it('is unavailable when no keys were ever loaded', async () => {
    away = true;
    await expect(find('one')).rejects.toMatchObject({ code: 'unavailable' });
    expect(keys.ageMs()).toBeUndefined();
  });

  it('starts before auth does, and loads when auth is there', async () => {
    away = true;
    await keys.run();
    await expect.poll(() => fetches).toBeGreaterThan(2);
    away = false;
    await expect.poll(() => keys.ageMs()).toBe(0);
    await keys.stop();
  });
});
