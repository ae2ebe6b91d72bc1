import { describe, expect, it } from 'vitest';
import { afterClose, jitteredMs, quickAttempts, quickCapMs, retryCapMs } from '../src/retry.ts';

describe('full jitter', () => {
  it('spreads over everything up to a ceiling that doubles and ends', () => {
    expect(jitteredMs(0, 0)).toBe(0);
    expect(jitteredMs(0, 0.999)).toBeLessThan(500);
    expect(jitteredMs(3, 0.5)).toBe(2_000);
    expect(jitteredMs(60, 0.9999)).toBeLessThan(retryCapMs);
  });

  it('is back within five seconds of a server that restarts, and patient in a long outage', () => {
    for (let attempt = 0; attempt < quickAttempts; attempt += 1)
      expect(jitteredMs(attempt, 0.9999)).toBeLessThan(quickCapMs);
    expect(jitteredMs(quickAttempts, 0.9999)).toBeGreaterThan(quickCapMs);
  });
});

describe('a close code', () => {
  it.each([
    [4000, { kind: 'stop', why: 'protocol' }],
    [4001, { kind: 'renew' }],
    [4003, { kind: 'stop', why: 'not_allowed' }],
    [4010, { kind: 'stop', why: 'replaced' }],
  ])('%i leads to its own end', (code, expected) => {
    expect(afterClose(code, '', 0, 0.5)).toEqual(expected);
  });

  it.each([1000, 1006, 1012, 4008, 4009, 4011, 4012, 4013])(
    '%i is tried again after a jittered wait',
    (code) => {
      expect(afterClose(code, '', 2, 0.5)).toEqual({ kind: 'retry', afterMs: 1_000 });
    },
  );

  it('waits within the window the server names', () => {
    expect(afterClose(4012, '{"retryAfterMs":[2000,6000]}', 0, 0.25)).toEqual({
      kind: 'retry',
      afterMs: 3_000,
    });
  });

  it('waits at least ten seconds when over the limit', () => {
    const next = afterClose(4029, '', 0, 0);
    expect(next).toEqual({ kind: 'retry', afterMs: 10_000 });
  });

  it.each([
    'proxy error',
    'null',
    '{"retryAfterMs":[5]}',
    '{"retryAfterMs":["a","b"]}',
    '{"retryAfterMs":[9,1]}',
  ])('does not stumble over the reason %s', (reason) => {
    expect(afterClose(4012, reason, 0, 0.5)).toEqual({ kind: 'retry', afterMs: 250 });
  });
});
