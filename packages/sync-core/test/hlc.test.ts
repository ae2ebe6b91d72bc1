import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clampHlc, compareHlc, encodeHlc, type Hlc, parseHlc, receiveHlc, tickHlc } from '../src/index.ts';

const stamp = fc.record({
  ms: fc.nat({ max: 2 ** 47 }),
  counter: fc.nat({ max: 0xffff }),
  device: fc.string({ minLength: 1, maxLength: 12 }),
});

describe('a hybrid logical clock', () => {
  it('is written as 12 and 4 hex digits and the device, and read back', () => {
    expect(encodeHlc({ ms: 1, counter: 255, device: 'my-phone' })).toBe('000000000001-00ff-my-phone');
    fc.assert(
      fc.property(stamp, (one) => {
        expect(parseHlc(encodeHlc(one))).toEqual(one);
      }),
    );
    for (const bad of ['', '1-1-a', '000000000001-00ff-', '00000000000G-00ff-a'])
      expect(parseHlc(bad)).toBeUndefined();
  });

  it('sorts as text by time, then counter, then device', () => {
    const order = (a: Hlc, b: Hlc) =>
      a.ms - b.ms || a.counter - b.counter || (a.device < b.device ? -1 : a.device > b.device ? 1 : 0);
    fc.assert(
      fc.property(stamp, stamp, (a, b) => {
        expect(Math.sign(compareHlc(encodeHlc(a), encodeHlc(b)))).toBe(Math.sign(order(a, b)));
      }),
    );
  });

  it('always goes on: what is done after seeing a stamp sorts after it, whatever the wall clock says', () => {
    fc.assert(
      fc.property(stamp, stamp, fc.nat({ max: 2 ** 47 }), (own, seen, now) => {
        const after = receiveHlc(own, seen, now, 'me');
        const next = tickHlc(after, now, 'me');
        for (const earlier of [own, seen, after])
          expect(
            compareHlc(encodeHlc({ ...earlier, device: '' }), encodeHlc({ ...next, device: '' })),
          ).toBeLessThan(0);
        expect(next.counter).toBeLessThanOrEqual(0xffff);
      }),
    );
  });

  it('is cut to a minute ahead of the server, and never refused', () => {
    const now = 1_000_000;
    const far = encodeHlc({ ms: now * 2, counter: 3, device: 'fast' });
    expect(parseHlc(clampHlc(far, now))).toEqual({ ms: now + 60_000, counter: 3, device: 'fast' });
    const near = encodeHlc({ ms: now + 60_000, counter: 3, device: 'fast' });
    expect(clampHlc(near, now)).toBe(near);
  });
});
