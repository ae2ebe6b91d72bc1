import type { Clock } from '@skein/service-kit';
import type { Archive } from './ports.ts';

/** What archiving is made of. */
export interface ArchiveOptions {
  readonly archive: Archive;
  readonly clock: Clock;
  /** Events older than this go; 0: none ever. */
  readonly afterDays: number;
  /** Told how many events went. */
  readonly moved: (count: number) => void;
}

const dayMs = 24 * 3_600_000;

/** One round over all spaces, in steps; what could not be done is the next round's. */
export const archiveUseCase =
  ({ archive, clock, afterDays, moved }: ArchiveOptions) =>
  async (signal: AbortSignal): Promise<void> => {
    if (afterDays === 0) return;
    const beforeMs = clock.now() - afterDays * dayMs;
    for (let done = false; !done && !signal.aborted; ) {
      const step = await archive.run(beforeMs, signal);
      if (step.moved > 0) moved(step.moved);
      done = step.done;
    }
  };
