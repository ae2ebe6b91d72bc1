/** Random numbers that follow from a seed: the same ones every time. */
export interface Random {
  /** 0 ≤ n < 1. */
  (): number;
  /** A whole number, both ends included. */
  between(min: number, max: number): number;
  /** True once in `1 / share`. */
  chance(share: number): boolean;
  pick<T>(items: readonly T[]): T;
}

/** splitmix32: 32 bits of state are enough for a few hundred thousand draws, and every seed is a good one. */
export const seededRandom = (seed: number): Random => {
  let state = seed | 0;
  const next = (): number => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
  return Object.assign(next, {
    between: (min: number, max: number) => min + Math.floor(next() * (max - min + 1)),
    chance: (share: number) => next() < share,
    pick: <T>(items: readonly T[]): T => {
      const item = items[Math.floor(next() * items.length)];
      if (item === undefined) throw new Error('bug: nothing to pick from');
      return item;
    },
  });
};

interface Due {
  readonly atMs: number;
  /** Of two at the same time the one planned first runs first. */
  readonly order: number;
  run: (() => unknown) | undefined;
}

/** Time that passes only when nothing is left to do now. */
export interface Schedule {
  /** Epoch milliseconds. */
  now(): number;
  /** Runs `work` after a delay; returns the way to call it off. */
  after(delayMs: number, work: () => unknown): () => void;
  /** Runs what is due, in order, each to its end, until `done` or `untilMs`; false when time was up. */
  run(untilMs: number, done?: () => boolean): Promise<boolean>;
  /** How many things were run: a measure of the work of a seed. */
  readonly steps: number;
}

const before = (a: Due, b: Due): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

/** A binary heap, earliest first. */
class DueHeap {
  private readonly items: Due[] = [];

  push(item: Due): void {
    const { items } = this;
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(item, items[parent] as Due)) break;
      items[at] = items[parent] as Due;
      at = parent;
    }
    items[at] = item;
  }

  peek(): Due | undefined {
    return this.items[0];
  }

  pop(): void {
    const { items } = this;
    const last = items.pop() as Due;
    if (items.length === 0) return;
    let at = 0;
    for (let child = 1; child < items.length; child = 2 * at + 1) {
      if (child + 1 < items.length && before(items[child + 1] as Due, items[child] as Due)) child += 1;
      if (!before(items[child] as Due, last)) break;
      items[at] = items[child] as Due;
      at = child;
    }
    items[at] = last;
  }
}

/** Kept before anything replaces them. */
const real = { setImmediate: globalThis.setImmediate };
let immediates = 0;

/**
 * Waits until all that follows from what just ran has run: promises, and the immediates of the engine. Everything
 * slower than that is planned in the schedule.
 */
const settle = async (): Promise<void> => {
  do await new Promise((resolve) => real.setImmediate(resolve));
  while (immediates > 0);
};

/** A schedule that begins at `startMs`. */
export const createSchedule = (startMs: number): Schedule => {
  const heap = new DueHeap();
  let nowMs = startMs;
  let order = 0;
  let steps = 0;
  return {
    now: () => nowMs,
    after: (delayMs, work) => {
      order += 1;
      const due: Due = { atMs: nowMs + Math.max(0, Math.ceil(delayMs || 0)), order, run: work };
      heap.push(due);
      return () => {
        due.run = undefined;
      };
    },
    run: async (untilMs, done = () => false) => {
      await settle();
      for (;;) {
        if (done()) return true;
        const due = heap.peek();
        if (!due || due.atMs > untilMs) break;
        heap.pop();
        if (!due.run) continue;
        nowMs = due.atMs;
        steps += 1;
        await due.run();
        await settle();
      }
      nowMs = untilMs;
      return done();
    },
    get steps() {
      return steps;
    },
  };
};

/**
 * Puts the schedule, and random numbers of the seed, in the place of the process's own, for the parts of the engine
 * that use timers and clocks as globals. Returns the way back. One simulation a process at a time.
 */
export const replaceGlobals = (schedule: Schedule, random: Random): (() => void) => {
  const saved = {
    ...{ setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout },
    ...{ setInterval: globalThis.setInterval, clearInterval: globalThis.clearInterval },
    ...{ setImmediate: globalThis.setImmediate },
  };
  const savedNow = Date.now;
  const savedRandom = Math.random;
  const startMs = schedule.now();
  const handleOf = (cancel: () => void) => {
    const handle = { cancel, ref: () => handle, unref: () => handle, hasRef: () => false };
    return handle;
  };
  // What was planned before, by a pool for its idle connection say, is still the process's own.
  const clearBy = (own: (handle: never) => void) => (handle: unknown) => {
    const planned = handle as { readonly cancel?: () => void } | undefined;
    if (planned?.cancel) planned.cancel();
    else own(handle as never);
  };
  Object.assign(globalThis, {
    setTimeout: (work: (...args: unknown[]) => unknown, delayMs = 0, ...args: unknown[]) =>
      // As the real one: what it starts is nobody's to wait for.
      handleOf(schedule.after(delayMs, () => void work(...args))),
    clearTimeout: clearBy(saved.clearTimeout),
    setInterval: (work: (...args: unknown[]) => unknown, everyMs = 1, ...args: unknown[]) => {
      let cancel = () => {};
      const next = () => {
        cancel = schedule.after(Math.max(1, everyMs), () => {
          next();
          work(...args);
        });
      };
      next();
      return handleOf(() => cancel());
    },
    clearInterval: clearBy(saved.clearInterval),
    setImmediate: (work: (...args: unknown[]) => unknown, ...args: unknown[]) => {
      immediates += 1;
      return real.setImmediate(() => {
        immediates -= 1;
        work(...args);
      });
    },
  });
  Date.now = schedule.now;
  Math.random = random;
  Object.defineProperty(performance, 'now', { configurable: true, value: () => schedule.now() - startMs });
  return () => {
    Object.assign(globalThis, saved);
    Date.now = savedNow;
    Math.random = savedRandom;
    Reflect.deleteProperty(performance, 'now');
  };
};
