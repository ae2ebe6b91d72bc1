import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmod,
  chown,
  mkdir,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { userInfo } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { AppError } from '@skein/contracts';
import { type Account, asAccount, blockedAt, serverEnvironment } from './account.ts';
import type { Binaries } from './binaries.ts';
import { isRunning } from './postmaster.ts';

const run = promisify(execFile);

/** The role that owns everything in an embedded server. */
export const ownerRole = 'skein';

const refuse = (sentence: string, cause?: unknown): AppError =>
  new AppError('unavailable', sentence, { cause });

/** Removes what an `initdb` that was killed has left behind. */
const sweep = async (dataDir: string): Promise<void> => {
  const prefix = `${basename(dataDir)}.init-`;
  for (const name of await readdir(dirname(dataDir))) {
    if (!name.startsWith(prefix) || isRunning(Number.parseInt(name.slice(prefix.length), 10))) continue;
    await rm(join(dirname(dataDir), name), { recursive: true, force: true });
  }
};

/** Makes the database beside its place and moves it there whole, so that a half-made one is never taken for real. */
const initialise = async (dataDir: string, { initdb }: Binaries, account: Account): Promise<void> => {
  await sweep(dataDir);
  const staging = `${dataDir}.init-${process.pid}-${randomBytes(4).toString('hex')}`;
  await mkdir(staging, { mode: 0o700 });
  try {
    if (account.drops) await chown(staging, account.uid, account.gid);
    await run(
      initdb,
      [
        ...['-D', staging, '-U', ownerRole, '-E', 'UTF8', '--auth=reject'],
        // The built-in provider: the same order on every machine, without the system's locales.
        ...['--no-locale', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
      ],
      { ...asAccount(account), env: serverEnvironment, cwd: '/' },
    );
    await rename(staging, dataDir);
  } catch (error) {
    await rm(staging, { recursive: true, force: true });
    // Another process was faster: its database is as good.
    if (await stat(join(dataDir, 'PG_VERSION')).catch(() => undefined)) return;
    const said = ((error as { stderr?: string }).stderr ?? String(error))
      .trim()
      .split('\n')
      .slice(-3)
      .join(' ');
    throw refuse(`The database could not be made in ${dataDir}: ${said}`, error);
  }
};

/** Makes the data directory on first use, and refuses one that this server must not touch. Returns its real path. */
export const prepareDataDir = async (path: string, binaries: Binaries, account: Account): Promise<string> => {
  await mkdir(dirname(path), { recursive: true });
  const dataDir = join(await realpath(dirname(path)), basename(path));
  const blocked = blockedAt(dirname(dataDir), account);
  if (blocked !== undefined)
    throw refuse(
      `As root the database runs as an unprivileged user, who cannot enter ${blocked}: choose a data directory elsewhere, such as /var/lib/skein`,
    );
  const unreadable = (error: unknown) =>
    refuse(`${dataDir} cannot be read by this user: it belongs to somebody else`, error);
  const entries = await readdir(dataDir).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw unreadable(error);
  });
  if (entries.length === 0) await initialise(dataDir, binaries, account);
  else if (!entries.includes('PG_VERSION'))
    throw refuse(`${dataDir} is not empty and holds no database: choose another data directory`);
  const major = Number(await readFile(join(dataDir, 'PG_VERSION'), 'utf8'));
  if (major !== binaries.major)
    throw refuse(
      `${dataDir} was made by PostgreSQL ${major}, this is ${binaries.major}: export with the old release and import with the new one, or choose another data directory`,
    );
  const { uid } = await stat(dataDir);
  if (account.drops && uid !== account.uid)
    await run('chown', ['-R', `${account.uid}:${account.gid}`, dataDir]);
  else if (uid !== account.uid)
    throw refuse(
      `${dataDir} belongs to another user (uid ${uid}): start as that user, or choose another data directory`,
    );
  return dataDir;
};

const place = async (path: string, text: string, account: Account): Promise<void> => {
  await writeFile(path, text, { mode: 0o600 });
  await chmod(path, 0o600);
  if (account.drops) await chown(path, account.uid, account.gid);
};

/** Who may connect: this user over the socket, proved by the kernel; over TCP, if any, only with the password. */
export const writeAccessRules = async (dataDir: string, account: Account): Promise<void> => {
  await place(
    join(dataDir, 'pg_hba.conf'),
    `local all ${ownerRole} peer map=owner\nhost all ${ownerRole} 127.0.0.1/32 scram-sha-256\n`,
    account,
  );
  await place(join(dataDir, 'pg_ident.conf'), `owner "${userInfo().username}" ${ownerRole}\n`, account);
};
