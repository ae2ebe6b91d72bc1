import { AppError } from '@skein/contracts';
import { consume, deadLetters, type EventBus } from '@skein/events';
import type { Database } from '@skein/postgres';
import { createMetrics, type Logger } from '@skein/telemetry';
import type { Ground } from './disk.ts';
import { published } from './event-oracle.ts';
import type { Machine } from './machine.ts';

/** What a replica of a service that lives by events is made of. */
export interface ConsumerOptions {
  readonly ground: Ground;
  readonly machine: Machine;
  readonly database: Database;
  readonly bus: EventBus;
  readonly log: Logger;
}

/** How often the operator has dead letters handled again. */
const retryMs = 5_000;

/** Events no handler can take while the faults last: by their ids, so that every replica agrees. */
const poison = (eventId: string): boolean => eventId.endsWith('7');

/**
 * Starts a replica of a service whose effects are rows of its own, made by the real consumer and its inbox. Dead
 * letters are handled again by its operator. Nothing in its table keeps an effect from being there twice.
 */
export const startConsumer = async (options: ConsumerOptions): Promise<Machine> => {
  const { ground, machine, database, bus, log } = options;
  const { schedule, faults } = ground;
  const consumer = consume({
    ...{ bus, database, log, metrics: createMetrics(), consumer: 'simulated-effects' },
    ...{ types: published, maxDeliver: 3, backoffMs: [200, 1_000] },
    handle: async ({ id, subject }, tx) => {
      if (poison(id) && !faults.over) throw new AppError('invalid_request', 'Poison');
      await tx.query(
        { name: 'sim_effect', text: 'insert into sim_effect (event_id, subject) values ($1, $2)' },
        [id, subject],
      );
    },
  });
  const letters = deadLetters(database, [consumer]);
  const order = { actor: 'operator', reason: 'the seed says so' };
  const tend = async (): Promise<void> => {
    if (!machine.alive) return;
    const { signal } = new AbortController();
    try {
      for (const { consumer: name, eventId } of await letters.list({ limit: 100 }))
        await letters.retry(name, eventId, order, signal);
    } catch {
      // The database is away, or another replica was quicker: the next round finds what is left.
    }
    schedule.after(retryMs, () => void tend());
  };
  schedule.after(retryMs, () => void tend());
  await consumer.run();
  return machine;
};
