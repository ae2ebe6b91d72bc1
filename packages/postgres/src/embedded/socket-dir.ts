import { createHash } from 'node:crypto';
import { chmod, chown, lstat, mkdir, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { AppError } from '@skein/contracts';
import { type Account, blockedAt } from './account.ts';

/** `sun_path` holds 104 bytes on macOS and 108 on Linux, its zero included. */
const longestSocketPath = 103;

/** Where the socket of a data directory is: always the same place, short enough for the kernel. */
export const socketDirOf = (dataDir: string, account: Account): string => {
  const name = `skein-pg-${createHash('sha256').update(resolve(dataDir)).update(`\0${account.uid}`).digest('hex').slice(0, 12)}`;
  const fits = (dir: string) =>
    join(dir, name, '.s.PGSQL.65535').length <= longestSocketPath && blockedAt(dir, account) === undefined;
  return join([tmpdir(), '/tmp'].find(fits) ?? '/tmp', name);
};

/** Makes the directory, closed to everybody but the server (and root); refuses one that somebody else put there. */
export const makeSocketDir = async (dir: string, account: Account): Promise<void> => {
  await mkdir(dir, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  const { uid, isDirectory } = await lstat(dir).then((found) => ({
    uid: found.uid,
    isDirectory: found.isDirectory(),
  }));
  if (!isDirectory || (uid !== account.uid && uid !== process.getuid?.()))
    throw new AppError(
      'unavailable',
      `${dir} belongs to somebody else: remove it, or set TMPDIR to another directory`,
    );
  await chmod(dir, 0o700);
  if (account.drops) await chown(dir, account.uid, account.gid);
};

/** Removes the directory, unless a new server is in it already. */
export const removeSocketDir = async (dir: string): Promise<void> => {
  await rmdir(dir).catch(() => {});
};
