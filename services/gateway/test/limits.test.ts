import { expect, it } from 'vitest';
import { connectionGuard } from '../src/limits/connection-guard.ts';
import { localLimits } from '../src/limits/limits.ts';

const clockAt = (ms: number) => {
  let now = ms;
  return {
    now: () => now,
    advance: (by: number) => {
      now += by;
    },
  };
};

const config = {
  MESSAGES_PER_SECOND: 20,
  MESSAGES_BURST: 40,
  REQUESTS_PER_SECOND: 50,
  ANONYMOUS_PER_SECOND: 50,
  LOGINS_PER_MINUTE: 10,
  REGISTRATIONS_PER_HOUR: 30,
  UNAUTHENTICATED_PER_ADDRESS: 50,
};

const passed = (times: number, ask: () => { ok: boolean }): number =>
  Array.from({ length: times }, ask).filter(({ ok }) => ok).length;

it('lets a person send 40 messages at once, then 20 a second', () => {
  const clock = clockAt(1_000_000);
  const limits = localLimits(config, clock);
  expect(passed(50, () => limits.message('u1'))).toBe(40);
  expect(limits.message('u1')).toEqual({ ok: false, retryAfterMs: 50 });
  expect(limits.message('u2')).toEqual({ ok: true });
  clock.advance(1_000);
  expect(passed(50, () => limits.message('u1'))).toBe(20);
});

it('counts every mutation of a batch, and lets a batch above the burst pass when all of it is free', () => {
  const clock = clockAt(1_000_000);
  const limits = localLimits(config, clock);
  expect(limits.message('u1', 100)).toEqual({ ok: true });
  expect(limits.message('u1', 1)).toEqual({ ok: false, retryAfterMs: 50 });
  clock.advance(2_000);
  expect(limits.message('u1', 100)).toEqual({ ok: true });
});

it('counts attempts to sign in by account from anywhere, whatever the case', () => {
  const limits = localLimits(config, clockAt(0));
  const from = (n: number) => limits.login(`192.0.2.${n}`, n % 2 ? 'Ada@example.org' : 'ada@example.org');
  let n = 0;
  expect(
    passed(20, () => {
      n += 1;
      return from(n);
    }),
  ).toBe(10);
  expect(limits.login('192.0.2.99', 'ada@example.org')).toEqual({ ok: false, retryAfterMs: 6_000 });
});

it('does not let an address over its limit use up somebody’s account', () => {
  const limits = localLimits(config, clockAt(0));
  expect(passed(10, () => limits.login('192.0.2.1', 'eve@example.org'))).toBe(10);
  expect(passed(50, () => limits.login('192.0.2.1', 'ada@example.org'))).toBe(0);
  expect(limits.login('192.0.2.2', 'ada@example.org')).toEqual({ ok: true });
});

it('counts an IPv6 household as one address', () => {
  const limits = localLimits({ ...config, REGISTRATIONS_PER_HOUR: 1 }, clockAt(0));
  expect(limits.register('2001:db8:0:1::1').ok).toBe(true);
  expect(limits.register('2001:0db8::1:aaaa:bbbb:cccc:dddd').ok).toBe(false);
  expect(limits.register('2001:db8:0:2::1').ok).toBe(true);
});

it('refuses the connection above the bound until one signs in or closes', () => {
  const guard = connectionGuard(() => 2);
  const [a, b, c, d] = [{}, {}, {}, {}];
  expect(guard.admit(a, '192.0.2.1')).toEqual({ ok: true });
  expect(guard.admit(a, '192.0.2.1'), 'asked again for the same').toEqual({ ok: true });
  expect(guard.admit(b, '192.0.2.1')).toEqual({ ok: true });
  expect(guard.admit(c, '192.0.2.1')).toEqual({ ok: false, retryAfterMs: 5_000 });
  expect(guard.admit(c, '192.0.2.2')).toEqual({ ok: true });
  guard.settle(a);
  guard.settle(a);
  expect(guard.admit(d, '192.0.2.1')).toEqual({ ok: true });
  expect(guard.admit({}, '192.0.2.1')).toEqual({ ok: false, retryAfterMs: 5_000 });
  expect(guard.admit(a, '192.0.2.1'), 'signed in: not counted again').toEqual({ ok: true });
});

it('takes each limit as it is at the moment', () => {
  const now = { ...config };
  const limits = localLimits(now, clockAt(0));
  expect(passed(50, () => limits.message('u1'))).toBe(40);
  Object.assign(now, { MESSAGES_BURST: 3, UNAUTHENTICATED_PER_ADDRESS: 1 });
  expect(passed(50, () => limits.message('u2'))).toBe(3);
  expect(limits.message('u3', 100)).toEqual({ ok: true });
  expect(limits.unauthenticated.admit({}, '192.0.2.1').ok).toBe(true);
  expect(limits.unauthenticated.admit({}, '192.0.2.1').ok).toBe(false);
});
