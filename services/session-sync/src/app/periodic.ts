import type { Service } from '@skein/service-kit';
import type { Timers } from './ports.ts';

/**
 * Work done again and again, the pause counted from its end: it never overlaps itself. A failure is told and the
 * next turn comes all the same. `stop` fires the signal of work under way and waits for it.
 */
export const periodic = (
  id: string,
  options: {
    readonly everyMs: number;
    readonly timers: Timers;
    readonly work: (signal: AbortSignal) => Promise<void> | void;
    readonly failed: (error: unknown) => void;
  },
): Service => {
  const stopping = new AbortController();
  let callOff = () => {};
  let running: Promise<void> = Promise.resolve();
  const schedule = () => {
    if (stopping.signal.aborted) return;
    callOff = options.timers.after(options.everyMs, () => {
      running = (async () => options.work(stopping.signal))()
        .catch((error: unknown) => {
          // Given up because of the stop: nothing has failed.
          if (error !== stopping.signal.reason) options.failed(error);
        })
        .then(schedule);
    });
  };
  return {
    id,
    run: async () => schedule(),
    stop: async () => {
      stopping.abort();
      callOff();
      await running;
    },
  };
};
