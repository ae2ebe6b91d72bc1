import { AppError } from '@skein/contracts';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { type GroupCommitOptions, groupCommit } from '../src/group-commit.ts';

interface Unit {
  readonly key: string;
  readonly n: number;
}
type Flush = PromiseWithResolvers<readonly (number | Error)[]> & { units: readonly Unit[] };

/** A batcher whose flushes end when the test says so. */
const controlled = (more: Partial<GroupCommitOptions<Unit, number>> = {}) => {
  const flushes: Flush[] = [];
  const batcher = groupCommit<Unit, number>({
    maxUnits: 10,
    maxQueued: 100,
    keyOf: ({ key }) => key,
    flush: (units) => {
      const flush = { ...Promise.withResolvers<readonly (number | Error)[]>(), units };
      flushes.push(flush);
      return flush.promise;
    },
    ...more,
  });
  /** The flush of this number, once it has begun. */
  const begun = (index: number): Promise<Flush> =>
    vi.waitFor(() => {
      const flush = flushes[index];
      if (!flush) throw new Error(`flush ${index} has not begun`);
      return flush;
    });
  const succeed = (flush: Flush) => flush.resolve(flush.units.map(({ n }) => n));
  return { batcher, flushes, begun, succeed };
};

describe('groupCommit', () => {
  it('flushes everything submitted together at once, and gives each its own result', async () => {
    const { batcher, begun, succeed } = controlled();
    const results = Promise.all([1, 2, 3].map((n) => batcher.submit({ key: `k${n}`, n })));
    const flush = await begun(0);
    expect(flush.units).toHaveLength(3);
    succeed(flush);
    expect(await results).toEqual([1, 2, 3]);
  });

  it('gathers the next flush while one is under way', async () => {
    const { batcher, flushes, begun, succeed } = controlled();
    const first = batcher.submit({ key: 'a', n: 1 });
    const open = await begun(0);
    const rest = [2, 3].map((n) => batcher.submit({ key: `k${n}`, n }));
    expect(batcher.depth).toEqual({ queued: 2, flushing: 1 });
    expect(flushes).toHaveLength(1);
    succeed(open);
    succeed(await begun(1));
    expect(await Promise.all([first, ...rest])).toEqual([1, 2, 3]);
    expect(flushes).toHaveLength(2);
  });

  it('keeps a key out of other flushes while it is in one, without holding up the others', async () => {
    const { batcher, begun, succeed } = controlled({ concurrency: 2 });
    const all = [batcher.submit({ key: 'a', n: 1 })];
    const first = await begun(0);
    all.push(batcher.submit({ key: 'a', n: 2 }), batcher.submit({ key: 'b', n: 3 }));
    const second = await begun(1);
    expect(second.units).toEqual([{ key: 'b', n: 3 }]);
    succeed(first);
    const third = await begun(2);
    expect(third.units).toEqual([{ key: 'a', n: 2 }]);
    succeed(second);
    succeed(third);
    expect(await Promise.all(all)).toEqual([1, 2, 3]);
  });

  it('bounds a flush in units and in bytes, and lets a unit that is too large go alone', async () => {
    const { batcher, flushes, begun, succeed } = controlled({
      maxUnits: 2,
      maxBytes: 10,
      sizeOf: ({ n }) => n,
    });
    const all = Promise.all([1, 2, 3, 4, 8, 99].map((n) => batcher.submit({ key: `k${n}`, n })));
    for (let index = 0; index < 4; index += 1) succeed(await begun(index));
    await all;
    expect(flushes.map(({ units }) => units.map(({ n }) => n))).toEqual([[1, 2], [3, 4], [8], [99]]);
  });

  it('refuses what exceeds the queue with overloaded', async () => {
    const { batcher, begun, succeed } = controlled({ maxQueued: 1 });
    const waiting = batcher.submit({ key: 'a', n: 1 });
    await expect(batcher.submit({ key: 'b', n: 2 })).rejects.toMatchObject({ code: 'overloaded' });
    succeed(await begun(0));
    expect(await waiting).toBe(1);
  });

  it('fails only the unit whose result is an error', async () => {
    const { batcher, begun } = controlled();
    const good = batcher.submit({ key: 'a', n: 1 });
    const bad = batcher.submit({ key: 'b', n: 2 });
    (await begun(0)).resolve([1, new AppError('conflict')]);
    await expect(bad).rejects.toMatchObject({ code: 'conflict' });
    expect(await good).toBe(1);
  });

  it('fails every unit of a flush that failed, and goes on with the next', async () => {
    const { batcher, begun, succeed } = controlled();
    const lost = [batcher.submit({ key: 'a', n: 1 }), batcher.submit({ key: 'b', n: 2 })];
    (await begun(0)).reject(new AppError('unavailable'));
    for (const one of lost) await expect(one).rejects.toMatchObject({ code: 'unavailable' });
    const next = batcher.submit({ key: 'a', n: 3 });
    succeed(await begun(1));
    expect(await next).toBe(3);
  });

  it('takes out a waiting unit whose signal aborts, but not one in a flush', async () => {
    const { batcher, flushes, begun, succeed } = controlled();
    const caller = new AbortController();
    const inFlush = batcher.submit({ key: 'a', n: 1 }, { signal: caller.signal });
    const open = await begun(0);
    const waiting = batcher.submit({ key: 'b', n: 2 }, { signal: caller.signal });
    caller.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'cancelled' });
    succeed(open);
    expect(await inFlush).toBe(1);
    await batcher.stop();
    expect(flushes).toHaveLength(1);
  });

  it('settles everything accepted before it has stopped, and refuses the rest', async () => {
    const { batcher, begun, succeed } = controlled({ maxUnits: 1 });
    const all = Promise.all([1, 2].map((n) => batcher.submit({ key: `k${n}`, n })));
    const stopped = batcher.stop();
    await expect(batcher.submit({ key: 'c', n: 3 })).rejects.toMatchObject({ code: 'unavailable' });
    succeed(await begun(0));
    succeed(await begun(1));
    await stopped;
    expect(await all).toEqual([1, 2]);
  });

  it('answers with an error when a flush gives the wrong number of results', async () => {
    const { batcher, begun } = controlled();
    const one = batcher.submit({ key: 'a', n: 1 });
    (await begun(0)).resolve([]);
    await expect(one).rejects.toThrow('0 results for 1 units');
  });
});

it('keeps the order of a key, and a key in one flush at most, whatever is submitted and however flushes end', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat({ max: 4 }), { minLength: 1, maxLength: 60 }),
      fc.record({ concurrency: fc.integer({ min: 1, max: 4 }), maxUnits: fc.integer({ min: 1, max: 8 }) }),
      fc.scheduler(),
      async (keys, bounds, scheduler) => {
        const busy = new Set<string>();
        const committed = new Map<string, number[]>();
        let open = 0;
        const batcher = groupCommit<Unit, number>({
          ...bounds,
          maxQueued: keys.length,
          keyOf: ({ key }) => key,
          flush: async (units) => {
            open += 1;
            expect(open).toBeLessThanOrEqual(bounds.concurrency);
            expect(units.length).toBeLessThanOrEqual(bounds.maxUnits);
            const mine = new Set(units.map(({ key }) => key));
            for (const key of mine) expect(busy.has(key)).toBe(false);
            for (const key of mine) busy.add(key);
            await scheduler.schedule(Promise.resolve());
            for (const { key, n } of units) committed.set(key, [...(committed.get(key) ?? []), n]);
            for (const key of mine) busy.delete(key);
            open -= 1;
            return units.map(({ n }) => n);
          },
        });
        const all = Promise.all(keys.map((key, n) => batcher.submit({ key: String(key), n })));
        const results = await scheduler.waitFor(all);
        expect(results).toEqual(keys.map((_, n) => n));
        for (const numbers of committed.values()) expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
      },
    ),
    { numRuns: 100 },
  );
});
