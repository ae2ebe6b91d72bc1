import type { Service } from '@skein/service-kit';

/** A component process, as far as keeping it running needs to know. */
interface Process {
  /** Resolves when it has ended, whoever ended it. */
  readonly exited: Promise<void>;
  stop(): Promise<void>;
}

/** A component that is started again when it dies, at the same address. */
export interface KeptComponent<P extends Process> extends Service {
  /** The present life, or the last one; undefined before the first. */
  readonly current: () => P | undefined;
  /** Takes it down until `resume`, for drills. */
  pause(): Promise<void>;
  resume(): Promise<void>;
}

/** Between a death and the next start; a component that cannot start is tried again for ever at this pace. */
const restartDelayMs = 500;

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/**
 * Keeps one component running. `start` comes back at the same address each time. `run` and `resume`
 * reject when that start fails; later failures are told, and tried again. No life outlasts `stop` and `pause`.
 */
export const keptComponent = <P extends Process>(
  id: string,
  start: () => Promise<P>,
  told: (line: string) => void,
): KeptComponent<P> => {
  let life: P | undefined;
  let wanted = false;
  let starting: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;

  const begin = async (): Promise<void> => {
    const born = await start();
    life = born;
    void born.exited.then(() => {
      if (!wanted) return;
      told(`ended, starting it again in ${restartDelayMs} ms`);
      again();
    });
  };
  const again = () => {
    timer = setTimeout(() => {
      starting = begin().catch((error: unknown) => {
        told(`could not be started: ${reasonOf(error)}`);
        if (wanted) again();
      });
    }, restartDelayMs);
  };
  const resume = (): Promise<void> => {
    wanted = true;
    const first = begin();
    // Whoever called hears of its failure; `end` only waits.
    starting = first.catch(() => {});
    return first;
  };
  const end = async () => {
    wanted = false;
    clearTimeout(timer);
    // A life that is being born would stay behind.
    await starting;
    await life?.stop();
  };
  return { id, current: () => life, run: resume, resume, pause: end, stop: end };
};
