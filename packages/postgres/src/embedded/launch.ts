import { type ChildProcess, spawn } from 'node:child_process';
import { open, readFile, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '@skein/contracts';
import { type Account, asAccount, serverEnvironment } from './account.ts';
import { writeAccessRules } from './data-dir.ts';
import { findPostmaster, hasMisleadingPidFile, type Postmaster, serves } from './postmaster.ts';
import { makeSocketDir, removeSocketDir } from './socket-dir.ts';

/** Everything a server is started with. */
export interface Launch {
  readonly dataDir: string;
  readonly socketDir: string;
  /** Number of the socket, and of the port on 127.0.0.1 when `tcp`. */
  readonly port: number;
  readonly tcp: boolean;
  readonly account: Account;
  /** Path of the program. */
  readonly postgres: string;
  readonly settings: Readonly<Record<string, string | number | boolean>>;
}

/** A server that accepts connections. */
export interface Running {
  readonly postmaster: Postmaster;
  /** Our child; undefined for a server that was found running. */
  readonly child: ChildProcess | undefined;
}

/** Recovery after a crash reads at most `max_wal_size` of log, seconds even on a slow disk. */
const startTimeoutMs = 60_000;
const pollMs = 15;
/** Fast shutdown writes a checkpoint; a lifecycle gives each part 5 s in all. */
const fastStopMs = 3_500;
const immediateStopMs = 1_000;
/** The server's own log is cut at start when it is larger. */
const maxLogBytes = 8 * 2 ** 20;

const logPath = (dataDir: string): string => join(dataDir, 'server.log');

const logSize = async (dataDir: string): Promise<number> => {
  const size = await stat(logPath(dataDir)).then(
    (found) => found.size,
    () => 0,
  );
  if (size <= maxLogBytes) return size;
  await truncate(logPath(dataDir));
  return 0;
};

/**
 * A process group of its own: Ctrl-C in a terminal must not stop the database before the services have drained.
 * Its log goes to a file, so it does not depend on us being alive.
 */
const spawnPostmaster = async (launch: Launch): Promise<ChildProcess> => {
  const { dataDir, socketDir, port, tcp, account, settings } = launch;
  const forced = { unix_socket_directories: socketDir, port, listen_addresses: tcp ? '127.0.0.1' : '' };
  const args = Object.entries({ ...settings, ...forced }).flatMap(([name, value]) => [
    '-c',
    `${name}=${value}`,
  ]);
  const log = await open(logPath(dataDir), 'a', 0o600);
  try {
    const child = spawn(launch.postgres, ['-D', dataDir, ...args], {
      ...asAccount(account),
      cwd: '/',
      env: serverEnvironment,
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
    });
    // A program that cannot be run shows as a child that has ended.
    child.on('error', () => {});
    child.unref();
    return child;
  } finally {
    await log.close();
  }
};

const hasEnded = (child: ChildProcess): boolean =>
  child.pid === undefined || child.exitCode !== null || child.signalCode !== null;

/** Another process was faster, or the orphans of a killed server still hold its memory: both pass. */
const passing = /postmaster\.pid" already exists|pre-existing shared memory block/;

/** Uses the live server of the data directory or starts one; resolves when it accepts connections. */
export const startOrAdopt = async (launch: Launch): Promise<Running> => {
  const { dataDir } = launch;
  const deadline = performance.now() + startTimeoutMs;
  let child: ChildProcess | undefined;
  let logStart = 0;
  while (performance.now() < deadline) {
    const live = await findPostmaster(dataDir);
    const ours = live !== undefined && live.pid === child?.pid;
    if (live && !ours && launch.tcp && live.ready && !(live.tcp && live.port === launch.port)) {
      await stopPostmaster(dataDir);
      continue;
    }
    if (live?.ready) return { postmaster: live, child: ours ? child : undefined };
    if (!live && !child) {
      if (await hasMisleadingPidFile(dataDir)) await rm(join(dataDir, 'postmaster.pid'), { force: true });
      await makeSocketDir(launch.socketDir, launch.account);
      await writeAccessRules(dataDir, launch.account);
      logStart = await logSize(dataDir);
      child = await spawnPostmaster(launch);
    }
    if (child && hasEnded(child)) {
      const said = (await readFile(logPath(dataDir))).subarray(logStart).toString().trim();
      if (!passing.test(said)) {
        await removeSocketDir(launch.socketDir);
        throw new AppError(
          'unavailable',
          `The embedded PostgreSQL did not start: ${said.split('\n').slice(-3).join(' ') || 'it said nothing'}`,
        );
      }
      child = undefined;
      await delay(200);
    }
    await delay(pollMs);
  }
  throw new AppError(
    'unavailable',
    `The embedded PostgreSQL was not ready within ${startTimeoutMs / 1000} s: see ${logPath(dataDir)}`,
  );
};

const goneWithin = async (dataDir: string, pid: number, timeoutMs: number): Promise<boolean> => {
  const deadline = performance.now() + timeoutMs;
  while (await serves(pid, dataDir)) {
    if (performance.now() > deadline) return false;
    await delay(pollMs);
  }
  return true;
};

/** Ends the live server of the data directory, if any: sessions are cut, a checkpoint is written. */
export const stopPostmaster = async (dataDir: string): Promise<void> => {
  const live = await findPostmaster(dataDir);
  if (!live) return;
  process.kill(live.pid, 'SIGINT');
  if (!(await goneWithin(dataDir, live.pid, fastStopMs))) {
    // Without a checkpoint: the next start recovers from the log.
    process.kill(live.pid, 'SIGQUIT');
    if (!(await goneWithin(dataDir, live.pid, immediateStopMs)))
      throw new AppError('unavailable', `The embedded PostgreSQL (process ${live.pid}) does not stop`);
  }
  await removeSocketDir(live.socketDir);
};
