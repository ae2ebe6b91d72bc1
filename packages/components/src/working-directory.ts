import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A directory for configuration and logs, and the way to be rid of it. */
export interface WorkingDirectory {
  readonly path: string;
  remove(): Promise<void>;
}

/** A fresh directory under the system's temporary one. */
export const workingDirectory = async (name: string): Promise<WorkingDirectory> => {
  const path = await mkdtemp(join(tmpdir(), `skein-${name}-`));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
};

/** How often a start on ports of our own choosing is tried: each time somebody else was quicker, which is rare. */
const attempts = 3;

/** Repeats `start` when it failed because a port was taken in between. `fixed` says that the caller chose the ports. */
export const retryOnTakenPort = async <T>(fixed: boolean, start: () => Promise<T>): Promise<T> => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start();
    } catch (error) {
      const taken = error instanceof Error && /address already in use/i.test(error.message);
      if (fixed || !taken || attempt === attempts) throw error;
    }
  }
};
