import { expect, test } from 'vitest';
import { lru } from '../src/lru.ts';

test('what is used stays, what is not goes, and it never grows beyond twice its size', () => {
  const map = lru<number>(100);
  map.set('busy', 1);
  for (let n = 0; n < 10_000; n += 1) {
    map.set(`once-${n}`, n);
    expect(map.get('busy')).toBe(1);
  }
  const left = Array.from({ length: 10_000 }, (_, n) => map.get(`once-${n}`)).filter(
    (one) => one !== undefined,
  );
  expect(left.length).toBeLessThanOrEqual(200);
});
