import type { Service } from '@skein/service-kit';
import type { Timers } from './ports.ts';

/**
 * Work done again and again, the pause counted from its end: it never overlaps itself. A failure is told and the
 * next turn comes all the same. `stop` waits for work under way.
 */
export const periodic = (
  id: string,
  options: {
    readonly everyMs: number;
    readonly timers: Timers;
    readonly work: () => Promise<void> | void;
    readonly failed: (error: unknown) => void;
  },
): Service => {
  let stopped = false;
  let callOff = () => {};
  let running: Promise<void> = Promise.resolve();
  const schedule = () => {
    if (stopped) return;
    callOff = options.timers.after(options.everyMs, () => {
      running = (async () => options.work())().catch(options.failed).then(schedule);
    });
  };
  return {
    id,
    run: async () => schedule(),
    stop: async () => {
      stopped = true;
      callOff();
      await running;
    },
  };
};
