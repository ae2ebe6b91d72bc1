import { execFileSync } from 'node:child_process';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** The environment variable by which a process is known as one of a start, whoever has its id by now. */
export const runVariable = 'SKEIN_RUN';

/** The processes of one start, on disk for the next. */
export interface ProcessRecord {
  /** A process of this start lives under this id now. */
  note(name: string, pid: number): void;
  /** Nothing is left. */
  clear(): void;
}

interface Recorded {
  readonly run: string;
  readonly pids: Readonly<Record<string, number>>;
}

/**
 * A service whose launcher is gone drains by itself: this long before it is ended without asking, which loses nothing.
 * Somebody is waiting for the start, and what it drains to may be gone with the launcher.
 */
const graceMs = 1_500;
/** A process that was sent SIGKILL and is still there after this long hangs in the kernel. */
const killMs = 5_000;
const pollMs = 25;

const pathIn = (dataDir: string): string => join(dataDir, 'processes.json');

/** Whether the process exists and belongs to that start. */
export const belongsTo = (pid: number, run: string): boolean => {
  const mark = `${runVariable}=${run}`;
  try {
    if (process.platform === 'linux') return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(mark);
    return execFileSync('ps', ['eww', '-o', 'command=', '-p', `${pid}`], { encoding: 'utf8' }).includes(mark);
  } catch {
    // No such process, or somebody else's.
    return false;
  }
};

const recorded = (dataDir: string): Recorded => {
  try {
    const { run, pids } = JSON.parse(readFileSync(pathIn(dataDir), 'utf8')) as Partial<Recorded>;
    return { run: String(run), pids: pids ?? {} };
  } catch {
    // None, or cut off by a power cut, which has ended the processes too.
    return { run: '', pids: {} };
  }
};

const goneWithin = async (pid: number, run: string, timeoutMs: number): Promise<boolean> => {
  const deadline = performance.now() + timeoutMs;
  while (belongsTo(pid, run)) {
    if (performance.now() > deadline) return false;
    await delay(pollMs);
  }
  return true;
};

/**
 * Ends the processes of a start that was itself killed, so that this one finds its ports free. Resolves when they
 * are gone. The caller holds the data directory.
 */
export const endLeftovers = async (dataDir: string, told: (line: string) => void): Promise<void> => {
  const { run, pids } = recorded(dataDir);
  const left = Object.entries(pids).filter(([, pid]) => belongsTo(pid, run));
  if (left.length > 0) {
    const names = left.map(([name, pid]) => `${name} (${pid})`).join(', ');
    told(`ending what a start that was killed has left behind: ${names}`);
  }
  await Promise.all(
    left.map(async ([name, pid]) => {
      if (await goneWithin(pid, run, graceMs)) return;
      process.kill(pid, 'SIGKILL');
      if (!(await goneWithin(pid, run, killMs)))
        throw new Error(`Process ${pid} (${name}) of an earlier start does not end: end it by hand.`);
    }),
  );
  rmSync(pathIn(dataDir), { force: true });
};

/** Starts the record of this start. The processes it notes carry `run` in `SKEIN_RUN`. */
export const recordProcesses = (dataDir: string, run: string): ProcessRecord => {
  const pids: Record<string, number> = {};
  return {
    note(name, pid) {
      pids[name] = pid;
      const half = `${pathIn(dataDir)}.new`;
      writeFileSync(half, JSON.stringify({ run, pids }));
      renameSync(half, pathIn(dataDir));
    },
    clear: () => rmSync(pathIn(dataDir), { force: true }),
  };
};
