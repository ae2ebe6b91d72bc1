import type { LoadOptions } from '../load/load.ts';

/**
 * Enough for every fault to meet something of each kind, and about what two busy cores carry beside the faults: a
 * process that starts takes a second or two of a core, and a dozen of them start every minute.
 */
export const usualLoad: Omit<LoadOptions, 'address'> = {
  ...{ people: 8, devices: 2, readers: ['SSE', 'poll'] },
  ...{ messagesPerSecond: 16, answersPerSecond: 1, callsPerSecond: 4 },
  ...{ mutationsPerSecond: 4, recordsPerSecond: 0.3 },
  giveUpMs: 120_000,
};
