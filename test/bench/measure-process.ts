import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';

/** Linux counts CPU time in hundredths of a second (USER_HZ). */
const tickMs = 10;

/** Confines a process with all its threads to one core; what it starts later stays there too. Needs `taskset`. */
export const pin = (pid: number, core: number): void => {
  execFileSync('taskset', ['-a', '-c', '-p', String(core), String(pid)], { stdio: 'ignore' });
};

/** CPU milliseconds, user and system, that a process has used. */
export const cpuMs = (pid: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * tickMs;
};

/** Resident memory of a process in KiB. */
export const rssKib = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

/** Milliseconds that a core was busy, whoever used it, and that the host took away. */
export const coreMs = (core: number): { busyMs: number; stolenMs: number } => {
  const line = readFileSync('/proc/stat', 'utf8')
    .split('\n')
    .find((one) => one.startsWith(`cpu${core} `));
  const [, user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = (line ?? '')
    .split(/\s+/)
    .map(Number);
  return { busyMs: (user + nice + system + irq + softirq) * tickMs, stolenMs: steal * tickMs };
};

/** What a process and its core did between two looks. */
export interface CoreUse {
  /** Share of the core that the process used, 0 to 1. */
  readonly own: number;
  /** Share that others used, or the host took. */
  readonly others: number;
  readonly stolen: number;
}

/** Begins to watch a process on its core; the returned function tells what it used since. */
export const watchCore = (pid: number, core: number): (() => CoreUse) => {
  const [own, { busyMs, stolenMs }, at] = [cpuMs(pid), coreMs(core), performance.now()];
  return () => {
    const wall = performance.now() - at;
    const now = coreMs(core);
    const used = cpuMs(pid) - own;
    return {
      own: used / wall,
      others: Math.max(0, now.busyMs - busyMs - used) / wall,
      stolen: (now.stolenMs - stolenMs) / wall,
    };
  };
};

/** Samples the resident memory of a process; the returned function ends it and tells the highest, in KiB. */
export const watchMemory = (pid: number, everyMs = 100): (() => number) => {
  let peak = rssKib(pid);
  const timer = setInterval(() => {
    peak = Math.max(peak, rssKib(pid));
  }, everyMs);
  return () => {
    clearInterval(timer);
    return Math.max(peak, rssKib(pid));
  };
};

/** The machine in a few words. */
export const machine = (): string => `${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.version}`;
