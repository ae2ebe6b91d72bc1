import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** Another launcher is using this data directory. */
export class SecondCopyError extends Error {
  override readonly name = 'SecondCopyError';
}

const isBusy = (error: unknown): boolean => error instanceof Error && /locked|busy/i.test(error.message);

/** What the owner wrote about itself; it may be about to. */
const ownerOf = (path: string): string => {
  try {
    return `process ${readFileSync(path, 'utf8').trim()}, `;
  } catch {
    return '';
  }
};

/**
 * Takes the data directory for this process, or throws a SecondCopyError naming the one that has it. Makes the
 * directory on first use. Returns the release.
 *
 * The lock is an exclusive transaction on an empty SQLite file, which is a lock of the operating system: it ends
 * with its process however that ends, so there is nothing stale to clear and no process id to mistake. The id in
 * the file beside it is for people.
 */
export const takeDataDir = (dataDir: string): (() => void) => {
  mkdirSync(dataDir, { recursive: true });
  const pidFile = join(dataDir, 'skein.pid');
  const lock = new DatabaseSync(join(dataDir, 'skein.lock'), { timeout: 0 });
  try {
    lock.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    lock.close();
    if (!isBusy(error)) throw error;
    throw new SecondCopyError(
      `Skein already runs here (${ownerOf(pidFile)}data in ${dataDir}): stop it first, or give this copy its own --data-dir and --port.`,
    );
  }
  writeFileSync(pidFile, `${process.pid}\n`);
  return () => {
    rmSync(pidFile, { force: true });
    lock.close();
  };
};
