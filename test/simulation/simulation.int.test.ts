import { createLogger } from '@skein/telemetry';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bugs, hunt } from './bugs.ts';
import { openStore, type Store } from './store.ts';
import { type Outcome, runSeed } from './world.ts';

/** A seed is a second or two of work; a machine with other things to do takes many times that. */
const timeoutMs = 600_000;

let store: Store;

beforeAll(async () => {
  store = await openStore(createLogger({ service: 'simulation', instance: 'simulation', level: 'error' }));
});

afterAll(() => store.close());

it(
  'gives the same run for the same seed',
  async () => {
    const first = await runSeed(2, store);
    const again = await runSeed(2, store);
    expect(again).toEqual(first);
    expect((await runSeed(3, store)).trace).not.toBe(first.trace);
  },
  timeoutMs,
);

it(
  'finds nothing wrong with the engine under crashes, loss, partitions, wrong clocks and restores',
  async () => {
    const outcomes: Outcome[] = [];
    for (const seed of [2, 5, 6, 8, 11, 19]) outcomes.push(await runSeed(seed, store));
    expect(
      outcomes.flatMap(({ seed, violations }) => violations.map((one) => `seed ${seed}: ${one}`)),
    ).toEqual([]);
    // The run was a bad day, and not an idle one.
    const sum = (of: (counts: Outcome['counts']) => number) =>
      outcomes.reduce((total, { counts }) => total + of(counts), 0);
    expect(sum(({ crashes }) => crashes)).toBeGreaterThan(10);
    expect(sum(({ restores }) => restores)).toBeGreaterThan(0);
    expect(sum(({ events }) => events)).toBeGreaterThan(200);
    expect(sum(({ sagas }) => sagas)).toBeGreaterThan(10);
    expect(sum(({ effects }) => effects)).toBeGreaterThan(10);
  },
  timeoutMs,
);

it.each(bugs)(
  'catches a bug made by hand: $name',
  async (bug) => {
    const caught = await hunt(bug, store, { from: 1, count: 60 });
    expect(caught?.violations ?? [], `${bug.about}, and no seed of 1 to 60 shows it`).not.toEqual([]);
    // It is the bug that was caught: without it nothing is wrong.
    expect((await runSeed(caught?.seed ?? 0, store)).violations).toEqual([]);
  },
  timeoutMs,
);
