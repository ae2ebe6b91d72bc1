import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { inWords, step } from '../src/progress.ts';

describe('progress', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it('says when a step starts, that it is still at it, and when it is done', async () => {
    const lines: string[] = [];
    const work = Promise.withResolvers<string>();
    const done = step(
      (text) => lines.push(text),
      'consul',
      'building',
      () => work.promise,
    );
    await vi.advanceTimersByTimeAsync(65_000);
    work.resolve('built');
    expect(await done).toBe('built');
    expect(lines).toEqual([
      'consul  building',
      'consul  still at it, 30 s',
      'consul  still at it, 1 min 0 s',
      'consul  ready after 1 min 5 s',
    ]);
  });

  it('leaves it to the error when a step fails', async () => {
    const lines: string[] = [];
    const failing = step(
      (text) => lines.push(text),
      'consul',
      'building',
      () => Promise.reject(new Error('no disk')),
    );
    await expect(failing).rejects.toThrow('no disk');
    await vi.advanceTimersByTimeAsync(65_000);
    expect(lines).toEqual(['consul  building']);
  });

  it.each([
    [400, '0.4 s'],
    [9_990, '10 s'],
    [59_400, '59 s'],
    [125_000, '2 min 5 s'],
  ])('writes %d ms as %s', (ms, words) => expect(inWords(ms)).toBe(words));
});
