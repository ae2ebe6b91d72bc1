import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '@skein/contracts';
import { type Order, reanchorDatabase } from '@skein/events';
import { adminTransaction } from '@skein/postgres';
import type { Screen } from './screen.ts';

/** A relay that was killed, or dumped while it ran, holds its lease for 10 s. */
const patienceMs = 15_000;
const askEveryMs = 500;

/** Tells a restored database that it is one. Waits a little for leases of services that were just stopped. */
export const reanchor = async (url: string, screen: Screen, order: Order): Promise<void> => {
  const giveUpAt = performance.now() + patienceMs;
  for (let waited = false; ; waited = true) {
    try {
      const done = await adminTransaction(url, (tx) => reanchorDatabase(tx, order));
      for (const { schema, era } of done) screen.row({ schema, era }, `${schema}: era ${era}`);
      screen.say('Re-anchored. Start the services: clients begin with a snapshot, relays publish again.');
      return;
    } catch (error) {
      const held = error instanceof AppError && error.code === 'conflict';
      if (!held || performance.now() >= giveUpAt) throw error;
      if (!waited) screen.say('A service still holds a lease; waiting up to 15 s for it.');
      await delay(askEveryMs);
    }
  }
};
