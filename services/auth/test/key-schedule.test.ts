import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type KeyTimes,
  keyPolicy,
  missingKeys,
  publishedKeys,
  signingKey,
} from '../src/domain/key-schedule.ts';

const day = 86_400_000;

describe('the schedule of signing keys', () => {
  it('starts with one key that signs at once', () => {
    const [first, ...others] = missingKeys([], 0);
    expect(others).toEqual([]);
    expect(first).toEqual({
      signFromMs: 0,
      signUntilMs: 30 * day,
      verifyUntilMs: 30 * day + keyPolicy.afterMs,
    });
  });

  it('publishes the next key a day ahead and signs with it when the day has come', () => {
    const first = missingKeys([], 0);
    expect(missingKeys(first, 29 * day - 1)).toEqual([]);
    const next = missingKeys(first, 29 * day);
    expect(next).toMatchObject([{ signFromMs: 30 * day }]);
    const both = [...first, ...next];
    expect(publishedKeys(both, 29 * day)).toEqual(both);
    expect(signingKey(both, 30 * day - 1)).toBe(first[0]);
    expect(signingKey(both, 30 * day)).toBe(next[0]);
  });

  it('retires a key when no token it signed can still be good', () => {
    const first = missingKeys([], 0);
    const both = [...first, ...missingKeys(first, 29 * day)];
    expect(keyPolicy.afterMs).toBeGreaterThanOrEqual(15 * 60_000 + 30_000);
    expect(publishedKeys(both, 30 * day + keyPolicy.afterMs - 1)).toHaveLength(2);
    expect(publishedKeys(both, 30 * day + keyPolicy.afterMs)).toEqual([both[1]]);
  });

  it('always has one key to sign with, published for a day unless nobody looked in time', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40 * day }), { maxLength: 60 }), (pauses) => {
        let keys: KeyTimes[] = [];
        const publishedAt = new Map<KeyTimes, number>();
        let now = 0;
        for (const pause of pauses) {
          const missing = missingKeys(keys, now);
          for (const key of missing) publishedAt.set(key, now);
          keys = [...keys, ...missing];
          expect(missingKeys(keys, now)).toEqual([]);
          const signing = signingKey(keys, now);
          expect(signing).toBeDefined();
          expect(publishedKeys(keys, now)).toContain(signing);
          now += pause;
        }
        for (const [key, atMs] of publishedAt)
          expect(key.signFromMs === atMs || key.signFromMs - atMs <= keyPolicy.aheadMs).toBe(true);
        const spans = keys.map(({ signFromMs, signUntilMs }) => [signFromMs, signUntilMs] as const);
        for (const [index, [begin]] of spans.entries())
          expect(begin).toBeGreaterThanOrEqual(spans[index - 1]?.[1] ?? 0);
      }),
    );
  });
});
