import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Another launcher is using this data directory. */
export class SecondCopyError extends Error {
  override readonly name = 'SecondCopyError';
}

const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it runs, as somebody else.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
};

/**
 * Takes the data directory for this process, or throws a SecondCopyError naming the one that has it. The lock
 * of a process that is gone is taken over. Returns the release.
 */
export const takeDataDir = (dataDir: string): (() => void) => {
  mkdirSync(dataDir, { recursive: true });
  const path = join(dataDir, 'skein.pid');
  for (;;) {
    try {
      writeFileSync(path, `${process.pid}\n`, { flag: 'wx' });
      return () => rmSync(path, { force: true });
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
    const owner = Number.parseInt(readFileSync(path, 'utf8'), 10);
    if (Number.isInteger(owner) && owner !== process.pid && isRunning(owner)) {
      throw new SecondCopyError(
        `Skein already runs here (process ${owner}, data in ${dataDir}). Stop it first, or give this copy its own --data-dir and --port.`,
      );
    }
    rmSync(path, { force: true });
  }
};
