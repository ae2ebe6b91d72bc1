import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';

const retryMs = 250;

const isBusy = (error: unknown): boolean => error instanceof Error && /locked|busy/i.test(error.message);

const tryLock = (file: string): DatabaseSync | undefined => {
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    database.exec('BEGIN EXCLUSIVE');
    return database;
  } catch (error) {
    database.close();
    if (isBusy(error)) return undefined;
    throw error;
  }
};

/** What a lock needs to know. */
export interface BuildLockOptions {
  /** Called once when somebody else holds the lock. */
  readonly onWait: () => void;
  /** After this long the wait is given up with an error. */
  readonly timeoutMs: number;
}

/**
 * Runs `work` while no other process on this machine does the same in `directory`.
 *
 * The lock is an exclusive transaction on an empty SQLite file, which is a lock of the operating system: it is
 * gone with the process that held it, so nothing has to guess whether a lock file is stale.
 */
export const withBuildLock = async <T>(
  directory: string,
  options: BuildLockOptions,
  work: () => Promise<T>,
): Promise<T> => {
  await mkdir(directory, { recursive: true });
  const file = join(directory, 'build.lock');
  const deadline = performance.now() + options.timeoutMs;
  let lock = tryLock(file);
  if (!lock) options.onWait();
  while (!lock) {
    if (performance.now() > deadline) throw new Error(`Another build still holds ${file}; gave up waiting.`);
    await delay(retryMs);
    lock = tryLock(file);
  }
  try {
    return await work();
  } finally {
    lock.close();
  }
};
