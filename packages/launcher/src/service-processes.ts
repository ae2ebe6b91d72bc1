import { setTimeout as delay } from 'node:timers/promises';
import type { Service } from '@skein/service-kit';
import { startFailure } from './start-failure.ts';

/** Parts as one: started at once, for they do not wait for each other; stopped at once. */
export const together = (id: string, parts: readonly Service[]): Service => ({
  id,
  run: async () => {
    await Promise.all(parts.map((part) => part.run()));
  },
  stop: async () => {
    await Promise.all(parts.map((part) => part.stop()));
  },
});

/** After the first failure, time for the others to find theirs: all faults are told at once. */
const othersMs = 2_000;

/**
 * Groups of processes, a group being the instances of one service. All are started at once; `run` rejects with a
 * StartFailure that has the faults of all. Stopped group by group, the last one first.
 */
export const inGroups = (id: string, groups: readonly (readonly Service[])[]): Service => ({
  id,
  run: async () => {
    const starts = groups.flat().map((one) => one.run());
    try {
      await Promise.all(starts);
    } catch {
      const errors: unknown[] = [];
      const collected = Promise.all(starts.map((one) => one.catch((error: unknown) => errors.push(error))));
      await Promise.race([collected, delay(othersMs, undefined, { ref: false })]);
      throw startFailure([...errors]);
    }
  },
  stop: async () => {
    for (const group of [...groups].reverse()) await Promise.all(group.map((one) => one.stop()));
  },
});
