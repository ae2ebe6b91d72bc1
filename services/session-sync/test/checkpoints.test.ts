import { describe, expect, it } from 'vitest';
import { keepsCheckpoint } from '../src/domain/checkpoints.ts';

const keptOf = (newest: number): number[] =>
  Array.from({ length: newest }, (_, index) => index + 1).filter((one) => keepsCheckpoint(one, newest));

describe('checkpoints that are kept', () => {
  it('are few, near each other where the log is young, and those of before', () => {
    let before = keptOf(1);
    for (let newest = 2; newest <= 1_000; newest += 1) {
      const kept = keptOf(newest);
      expect(kept.length).toBeLessThanOrEqual(16 + 8 * Math.max(0, Math.log2(newest / 16)) + 1);
      expect(kept.at(-1)).toBe(newest);
      for (const [index, one] of kept.entries()) {
        const gap = one - (kept[index - 1] ?? 0);
        expect(gap).toBeLessThanOrEqual(Math.max(1, (newest - one + gap) / 8));
      }
      const known = new Set([...before, newest]);
      expect(kept.every((one) => known.has(one))).toBe(true);
      before = kept;
    }
  });
});
