import type { Service } from '@skein/service-kit';
import type { Logger } from '@skein/telemetry';

/**
 * Runs `work` again and again, a pause (give or take 10 %, so that replicas drift apart) between two runs. A run
 * that fails is logged and the next one comes as usual. `stop` waits for a run under way.
 */
export const periodic = (
  id: string,
  { pauseMs, work, log }: { pauseMs: number; work: () => Promise<unknown>; log: Logger },
): Service => {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let running: Promise<void> = Promise.resolve();
  const once = async () => {
    try {
      await work();
    } catch (error) {
      log.warn({ err: error, part: id }, 'a periodic task failed; it will be tried again');
    }
    schedule();
  };
  const schedule = () => {
    if (stopped) return;
    timer = setTimeout(
      () => {
        running = once();
      },
      pauseMs * (0.9 + Math.random() * 0.2),
    );
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
