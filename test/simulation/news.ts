import type { LiveBus } from '@skein/events';
import type { Ground } from './disk.ts';
import type { Machine } from './machine.ts';

/** What replicas tell each other: at most once, in any order. */
export interface News {
  of(machine: Machine): LiveBus;
}

const delayMs = { min: 0, max: 60 };

/** A live bus that loses, doubles and reorders. */
export const simulatedNews = ({ schedule, random, faults }: Ground): News => {
  const readers = new Set<{
    readonly machine: Machine;
    readonly subject: string;
    readonly handle: (payload: Uint8Array) => void;
  }>();
  return {
    of: (machine) => ({
      id: 'simulated live bus',
      peers: true,
      run: async () => {},
      stop: async () => {},
      publish: (subject, payload) => {
        if (!machine.alive) return;
        for (const reader of readers) {
          if (reader.subject !== subject) continue;
          const copies = faults.happens('lostNews') ? 0 : faults.happens('newsTwice') ? 2 : 1;
          for (let copy = 0; copy < copies; copy += 1)
            schedule.after(random.between(delayMs.min, delayMs.max), () => {
              if (reader.machine.alive && readers.has(reader)) reader.handle(payload);
            });
        }
      },
      subscribe: (subject, handle) => {
        const reader = { machine, subject, handle };
        readers.add(reader);
        return () => readers.delete(reader);
      },
    }),
  };
};
