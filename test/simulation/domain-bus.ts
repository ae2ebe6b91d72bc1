import { AppError, type DomainEvent } from '@skein/contracts';
import { backoffAfter, type EventBus, type Subscription, subscriptionDefaults } from '@skein/events';
import type { Ground } from './disk.ts';
import type { Machine } from './machine.ts';

/** A durable bus, and what went over it. */
export interface DomainBus {
  /** Where a process publishes and subscribes. */
  of(machine: Machine): EventBus;
  /** All events that were ever stored, by id, in order. */
  readonly stored: ReadonlyMap<string, DomainEvent>;
  /** Deliveries to subscribers that nobody has acknowledged. */
  readonly waiting: number;
}

const delayMs = { min: 1, max: 300 };
/** A delivery that was handled and not acknowledged comes again after this. */
const ackWaitMs = 3_000;

interface Subscriber {
  readonly machine: Machine;
  readonly subscription: Subscription;
}

/**
 * A bus that may say it failed when it has stored everything. `consume` gets everything in any order, some of it twice.
 * Subscribers, all of them replicas of one consumer, get each subject in order, one event at a time, and again what
 * failed or whose acknowledgement was lost.
 */
export const simulatedBus = (
  { schedule, random, faults }: Ground,
  consume: (event: DomainEvent) => void,
): DomainBus => {
  const stored = new Map<string, DomainEvent>();
  const subscribers = new Set<Subscriber>();
  let subscribed = false;
  const queues = new Map<string, DomainEvent[]>();
  const busy = new Set<string>();
  const delay = () => random.between(delayMs.min, delayMs.max);

  const pump = (subject: string): void => {
    if (busy.has(subject)) return;
    busy.add(subject);
    deliver(subject, 1);
  };

  const deliver = (subject: string, attempt: number): void => {
    const queue = queues.get(subject) ?? [];
    const [event] = queue;
    const there = [...subscribers].filter(({ machine }) => machine.alive);
    if (!event || there.length === 0) {
      busy.delete(subject);
      return;
    }
    const { machine, subscription } = random.pick(there);
    const { maxDeliver = subscriptionDefaults.maxDeliver, backoffMs = subscriptionDefaults.backoffMs } =
      subscription;
    const abort = new AbortController();
    let over = false;
    const end = (next: () => void) => {
      if (over) return;
      over = true;
      forget();
      late();
      next();
    };
    // Somebody else gets it: to die, or to be silent, is no attempt.
    const again = () => end(() => deliver(subject, attempt));
    const forget = machine.onDeath(() => schedule.after(delay(), again));
    const late = schedule.after(ackWaitMs, () => {
      abort.abort(new AppError('deadline_exceeded'));
      again();
    });
    schedule.after(delay(), () => {
      if (over || !machine.alive) return;
      const last = attempt >= maxDeliver;
      subscription.handle(event, { attempt, last, signal: abort.signal }).then(
        () => {
          if (!machine.alive || faults.happens('lostAnswer')) return;
          end(() => {
            queue.shift();
            deliver(subject, 1);
          });
        },
        () => {
          if (machine.alive)
            end(() => schedule.after(backoffAfter(attempt, backoffMs), () => deliver(subject, attempt + 1)));
        },
      );
    });
  };

  const store = (event: DomainEvent): void => {
    stored.set(event.id, event);
    const queue = queues.get(event.subject) ?? [];
    queues.set(event.subject, queue);
    for (let copy = random.chance(0.1) ? 2 : 1; copy > 0; copy -= 1) {
      schedule.after(delay(), () => consume(event));
      queue.push(event);
    }
    pump(event.subject);
  };

  const bus: EventBus = {
    id: 'simulated bus',
    run: async () => {},
    stop: async () => {},
    publish: async (events) => {
      if (faults.happens('lostCall')) throw new AppError('unavailable', 'The bus is away');
      for (const event of events) if (!stored.has(event.id) || random.chance(0.2)) store(event);
      if (faults.happens('lostAnswer')) throw new AppError('unavailable', 'The bus is away');
      return { mark: stored.size };
    },
    subscribe: () => ({ id: 'nobody', run: async () => {}, stop: async () => {} }),
    store: async () => ({ id: 'store', boot: '' }),
    newest: async () => undefined,
    erase: async () => {},
    handled: async () => undefined,
  };

  return {
    stored,
    get waiting() {
      return subscribed ? [...queues.values()].reduce((sum, { length }) => sum + length, 0) : 0;
    },
    of: (machine) => ({
      ...bus,
      subscribe: (subscription) => {
        const one = { machine, subscription };
        return {
          id: subscription.consumer,
          run: async () => {
            subscribers.add(one);
            subscribed = true;
            machine.onDeath(() => subscribers.delete(one));
            for (const subject of queues.keys()) pump(subject);
          },
          stop: async () => {
            subscribers.delete(one);
          },
        };
      },
    }),
  };
};
