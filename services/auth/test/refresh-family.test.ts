import { describe, expect, it } from 'vitest';
import {
  decideRefresh,
  type Family,
  idleExpiry,
  refreshLifetime,
  repeatWindowMs,
} from '../src/domain/refresh-family.ts';

const live: Family = { ended: undefined, idleExpiresAtMs: 1_000_000, expiresAtMs: 2_000_000 };
const leaf = { usedAtMs: undefined, usedKey: undefined };
const usedAt = (usedAtMs: number, usedKey?: string) => ({ usedAtMs, usedKey });

describe('a presented refresh token', () => {
  it('rotates when it is the leaf', () => {
    expect(decideRefresh(live, leaf, undefined, 0)).toBe('rotate');
    expect(decideRefresh(live, leaf, 'key', 0)).toBe('rotate');
  });

  it('gets the same pair for the same key within a minute', () => {
    const token = usedAt(1_000, 'key');
    expect(decideRefresh(live, token, 'key', 1_000)).toBe('repeat');
    expect(decideRefresh(live, token, 'key', 1_000 + repeatWindowMs - 1)).toBe('repeat');
    expect(decideRefresh(live, token, 'key', 1_000 + repeatWindowMs)).toBe('reuse');
  });

  it('is a reuse with another key, or without one, however soon', () => {
    expect(decideRefresh(live, usedAt(1_000, 'key'), 'other', 1_000)).toBe('reuse');
    expect(decideRefresh(live, usedAt(1_000, 'key'), undefined, 1_000)).toBe('reuse');
    expect(decideRefresh(live, usedAt(1_000), undefined, 1_000)).toBe('reuse');
    expect(decideRefresh(live, usedAt(1_000), 'key', 1_000)).toBe('reuse');
  });

  it('is refused once the family has ended, whatever else is true of it', () => {
    for (const token of [leaf, usedAt(1_000, 'key')]) {
      expect(decideRefresh({ ...live, ended: 'logout' }, token, 'key', 1_000)).toBe('ended');
      expect(decideRefresh({ ...live, ended: 'refresh_reused' }, token, 'key', 1_000)).toBe('ended_by_reuse');
    }
  });

  it('is refused when the family was idle for too long, or is too old', () => {
    expect(decideRefresh(live, leaf, undefined, live.idleExpiresAtMs - 1)).toBe('rotate');
    expect(decideRefresh(live, leaf, undefined, live.idleExpiresAtMs)).toBe('expired');
    const busy = { ...live, idleExpiresAtMs: 9_000_000 };
    expect(decideRefresh(busy, leaf, undefined, live.expiresAtMs)).toBe('expired');
  });
});

it('being used keeps a login for a week, and never beyond its thirty days', () => {
  const day = 86_400_000;
  expect(refreshLifetime).toEqual({ idleMs: 7 * day, absoluteMs: 30 * day });
  expect(idleExpiry(0, 30 * day)).toBe(7 * day);
  expect(idleExpiry(25 * day, 30 * day)).toBe(30 * day);
});
