import type { Service } from './service.ts';

/** What is done again and again. */
export interface PeriodicOptions {
  /** From the end of one run to the beginning of the next, give or take 10 % so that replicas drift apart. */
  readonly everyMs: number;
  readonly work: () => Promise<unknown>;
  /** Told of a run that failed; the next one comes all the same. */
  readonly failed: (error: unknown) => void;
}

/**
 * Upkeep as a part: the first run comes one pause after the start, and runs never overlap. `stop` waits for the
 * run under way.
 */
export const periodic = (id: string, { everyMs, work, failed }: PeriodicOptions): Service => {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let running: Promise<void> = Promise.resolve();
  const once = async () => {
    try {
      await work();
    } catch (error) {
      failed(error);
    }
    schedule();
  };
  const schedule = () => {
    if (stopped) return;
    const pauseMs = everyMs * (0.9 + Math.random() * 0.2);
    timer = setTimeout(() => {
      running = once();
    }, pauseMs);
  };
  return {
    id,
    run: async () => schedule(),
    stop: async () => {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
};
