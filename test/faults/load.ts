import type { LoadOptions } from '../load/load.ts';

/**
 * Enough for every fault to meet something of each kind. Little enough for a device, whose messages are taken one after
 * the other, to catch up between two faults on busy cores.
 */
export const usualLoad: Omit<LoadOptions, 'address'> = {
  ...{ people: 6, devices: 2, readers: ['SSE', 'poll'] },
  ...{ messagesPerSecond: 6, answersPerSecond: 1, callsPerSecond: 4 },
  ...{ mutationsPerSecond: 4, recordsPerSecond: 0.3 },
  giveUpMs: 120_000,
};
