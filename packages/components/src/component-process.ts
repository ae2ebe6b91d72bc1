import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { endWithUs } from './end-with-us.ts';

const pollMs = 20;
const readyTimeoutMs = 30_000;
/** Both programs stop within a second; one that does not is ended without asking. */
const stopTimeoutMs = 10_000;
const tailLines = 15;

/** A component that is up. It is a child of this process and does not outlive it, however that ends. */
export interface ComponentProcess {
  readonly pid: number;
  /** Where it writes its output. */
  readonly logFile: string;
  /** Resolves when it has ended, whoever ended it. */
  readonly exited: Promise<void>;
  /** Asks it to end, waits until it has and removes its temporary directory. Fine to call after `kill`. */
  stop(): Promise<void>;
  /** Ends it at once, as a power cut would, and waits until it is gone. Its ports and files may then be used again. */
  kill(): Promise<void>;
}

/** How to run one component. */
export interface ComponentProcessOptions {
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly logFile: string;
  /** Its temporary directory, removed when this process is killed. */
  readonly directory: string;
  /** Asked again and again until it says true; an error means "not yet". */
  readonly isReady: () => Promise<boolean>;
}

const alive = (child: ChildProcess): boolean => child.exitCode === null && child.signalCode === null;

const ended = async (child: ChildProcess): Promise<void> => {
  if (alive(child)) await once(child, 'exit');
};

const tail = async (logFile: string): Promise<string> =>
  (await readFile(logFile, 'utf8')).trimEnd().split('\n').slice(-tailLines).join('\n');

const waitUntilReady = async (child: ChildProcess, options: ComponentProcessOptions): Promise<void> => {
  const deadline = performance.now() + readyTimeoutMs;
  while (performance.now() < deadline) {
    if (!alive(child))
      throw new Error(`${options.name} ended while starting:\n${await tail(options.logFile)}`);
    // Refused connections are what waiting looks like.
    if (await options.isReady().catch(() => false)) return;
    await delay(pollMs);
  }
  throw new Error(
    `${options.name} was not ready after ${readyTimeoutMs / 1000} s:\n${await tail(options.logFile)}`,
  );
};

/** Starts a component and resolves when it is ready. The error of one that is not has the end of its log. */
export const startProcess = async (options: ComponentProcessOptions): Promise<ComponentProcess> => {
  const log = await open(options.logFile, 'a');
  // A process group of its own: Ctrl-C in a terminal reaches its starter, who stops it in order.
  const child = spawn(options.file, [...options.args], { stdio: ['ignore', log.fd, log.fd], detached: true });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  try {
    await once(child, 'spawn');
  } finally {
    await log.close();
  }
  endWithUs(child, options.directory);

  const kill = async () => {
    child.kill('SIGKILL');
    await ended(child);
  };
  const stop = async () => {
    const impatience = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
    child.kill('SIGTERM');
    await ended(child);
    clearTimeout(impatience);
  };
  try {
    await waitUntilReady(child, options);
  } catch (error) {
    await kill();
    throw error;
  }
  return { pid: child.pid ?? 0, logFile: options.logFile, exited, stop, kill };
};
