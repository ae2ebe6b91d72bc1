import type { Service } from '@skein/service-kit';

/** A component process, as far as keeping it running needs to know. */
interface Process {
  /** Resolves when it has ended, whoever ended it. */
  readonly exited: Promise<void>;
  stop(): Promise<void>;
}

/** A component that is started again when it dies, at the same address. */
export interface KeptComponent<P extends Process> extends Service {
  /** The present life; undefined before the first. */
  readonly current: () => P | undefined;
  /** Stays down until `resume`, for drills. */
  pause(): Promise<void>;
  resume(): Promise<void>;
}

/** Between a death and the next start; a component that cannot start is tried again for ever at this pace. */
const restartDelayMs = 500;

/** Keeps one component running. `start` is given the life before, to come back at its ports. */
export const keptComponent = <P extends Process>(
  id: string,
  start: (previous: P | undefined) => Promise<P>,
  told: (line: string) => void,
): KeptComponent<P> => {
  let life: P | undefined;
  let wanted = false;
  let timer: NodeJS.Timeout | undefined;

  const begin = async (): Promise<void> => {
    const born = await start(life);
    life = born;
    void born.exited.then(() => {
      if (wanted) {
        told(`ended, starting it again in ${restartDelayMs} ms`);
        again();
      }
    });
  };
  const again = () => {
    timer = setTimeout(() => {
      if (!wanted) return;
      begin().catch((error: unknown) => {
        told(`could not be started: ${String(error)}`);
        again();
      });
    }, restartDelayMs);
  };
  const end = async () => {
    wanted = false;
    clearTimeout(timer);
    await life?.stop();
  };
  const resume = async () => {
    wanted = true;
    await begin();
  };
  return { id, current: () => life, run: resume, resume, pause: end, stop: end };
};
