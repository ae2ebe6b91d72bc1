import { AppError, type DomainEvent } from '@skein/contracts';
import type { EventBus } from '@skein/events';
import type { Ground } from './disk.ts';

/** A durable bus with one consumer, and what went over it. */
export interface DomainBus extends EventBus {
  /** Ids of all events that were ever stored, in order. */
  readonly stored: ReadonlySet<string>;
}

const delayMs = { min: 1, max: 300 };

/** A bus that may say it failed when it has stored everything, and delivers in any order, some of it twice. */
export const simulatedBus = (
  { schedule, random, faults }: Ground,
  consume: (event: DomainEvent) => void,
): DomainBus => {
  const stored = new Set<string>();
  return {
    id: 'simulated bus',
    stored,
    run: async () => {},
    stop: async () => {},
    publish: async (events) => {
      if (faults.happens('lostCall')) throw new AppError('unavailable', 'The bus is away');
      for (const event of events) {
        if (stored.has(event.id) && !random.chance(0.2)) continue;
        stored.add(event.id);
        for (let copy = random.chance(0.1) ? 2 : 1; copy > 0; copy -= 1)
          schedule.after(random.between(delayMs.min, delayMs.max), () => consume(event));
      }
      if (faults.happens('lostAnswer')) throw new AppError('unavailable', 'The bus is away');
      return { mark: stored.size };
    },
    subscribe: () => ({ id: 'nobody', run: async () => {}, stop: async () => {} }),
    store: async () => ({ id: 'store', boot: '' }),
    newest: async () => undefined,
    erase: async () => {},
    handled: async () => undefined,
  };
};
