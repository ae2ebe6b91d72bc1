import { execFile } from 'node:child_process';
import { readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** A server that runs on a data directory. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  readonly socketDir: string;
  /** Whether it listens on 127.0.0.1 too. */
  readonly tcp: boolean;
  /** Whether it accepts connections. */
  readonly ready: boolean;
}

/** Whether a process of this id exists, whoever owns it. */
export const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
};

/**
 * Whether the process is a postmaster of this directory and not somebody who got its id later. A postmaster works
 * in its data directory; where /proc is missing its command line, which names the directory, tells as much.
 */
export const serves = async (pid: number, dataDir: string): Promise<boolean> => {
  if (!isRunning(pid)) return false;
  if (process.platform === 'linux') return (await readlink(`/proc/${pid}/cwd`).catch(() => '')) === dataDir;
  const { stdout } = await promisify(execFile)('ps', ['-p', String(pid), '-o', 'command=']).catch(() => ({
    stdout: '',
  }));
  return stdout.includes(dataDir);
};

/** The lines of `postmaster.pid`: pid, directory, start time, port, socket directory, address, shared memory, status. */
const pidFile = async (dataDir: string): Promise<string[]> =>
  (await readFile(join(dataDir, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n');

/** The live server of a data directory; undefined when there is none, whatever a stale file says. */
export const findPostmaster = async (dataDir: string): Promise<Postmaster | undefined> => {
  const [pid, , , port, socketDir, address, , status] = await pidFile(dataDir);
  if (!pid || !(await serves(Number(pid), dataDir))) return undefined;
  return {
    pid: Number(pid),
    port: Number(port),
    socketDir: socketDir ?? '',
    tcp: Boolean(address),
    ready: status?.trim() === 'ready',
  };
};

/** Whether `postmaster.pid` names a live process that is no server of this directory: PostgreSQL would refuse to start. */
export const hasMisleadingPidFile = async (dataDir: string): Promise<boolean> => {
  const [pid] = await pidFile(dataDir);
  return Boolean(pid) && isRunning(Number(pid)) && !(await serves(Number(pid), dataDir));
};
