import type { LoadOptions } from '../load/load.ts';

/** Enough for every fault to meet something of each kind, and little enough for two busy cores. */
export const usualLoad: Omit<LoadOptions, 'address'> = {
  ...{ people: 6, devices: 2, readers: ['SSE', 'poll'] },
  ...{ messagesPerSecond: 16, answersPerSecond: 1, callsPerSecond: 6 },
  ...{ mutationsPerSecond: 8, recordsPerSecond: 0.4 },
  giveUpMs: 120_000,
};
