import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freeBlock } from './mesh.ts';

/** A place to start Skein in, as a person does: a data directory and ports of its own. */
export interface Place extends AsyncDisposable {
  readonly dataDir: string;
  /** The public port. */
  readonly port: number;
  /** Runs the launcher there. */
  start(args?: readonly string[], env?: Readonly<Record<string, string>>): Launched;
  /** Every process that belongs here, by its environment, its working directory or its command line. */
  processes(): readonly PlaceProcess[];
}

/** A process of a place. */
export interface PlaceProcess {
  readonly pid: number;
  readonly command: string;
}

/** A run of the launcher. */
export interface Launched {
  readonly pid: number;
  /** What it wrote to both outputs so far. */
  readonly lines: readonly string[];
  /** Resolves with the exit code; with the signal's name when one ended it. */
  readonly ended: Promise<number | string>;
  /** The first line, seen or to come, that matches. Rejects when it ends without. */
  line(pattern: RegExp): Promise<RegExpExecArray>;
  /** To its whole process group, as a terminal does. */
  signal(signal: NodeJS.Signals): void;
}

const program = fileURLToPath(new URL('../../../packages/launcher/src/main.ts', import.meta.url));

/** One is readable when the process still exists and is ours. */
const attempt = (look: () => string): string => {
  try {
    return look();
  } catch {
    return '';
  }
};

const launch = (args: readonly string[], env: Readonly<Record<string, string>>): Launched => {
  const child = spawn(process.execPath, [program, ...args], {
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const lines: string[] = [];
  const watchers = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      for (const watcher of watchers) watcher();
    });
  const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string);
  return {
    pid: child.pid ?? 0,
    lines,
    ended,
    line: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = lines.map((line) => pattern.exec(line)).find((match) => match !== null);
          if (!found) return;
          watchers.delete(look);
          resolve(found);
        };
        watchers.add(look);
        look();
        void ended.then((how) =>
          reject(new Error(`ended (${how}) without a line like ${pattern}:\n${lines.join('\n')}`)),
        );
      }),
    signal: (signal) => process.kill(-(child.pid ?? 0), signal),
  };
};

/** Finds a place. Disposing it ends what is left there and removes the data. */
export const place = async (): Promise<Place> => {
  const dataDir = mkdtempSync(join(tmpdir(), 'skein-start-'));
  // As root the database runs as somebody else, who has to get in.
  chmodSync(dataDir, 0o755);
  const port = await freeBlock();
  const mark = randomUUID();
  const belongs = (pid: string) =>
    attempt(() => readFileSync(`/proc/${pid}/environ`, 'latin1')).includes(mark) ||
    attempt(() => readFileSync(`/proc/${pid}/cmdline`, 'latin1')).includes(dataDir) ||
    attempt(() => readlinkSync(`/proc/${pid}/cwd`)).startsWith(dataDir);
  const pids = () => readdirSync('/proc').filter((name) => /^\d+$/.test(name) && belongs(name));
  return {
    dataDir,
    port,
    start: (args = [], env = {}) => {
      const ports = ['--port', port, '--grpc-port', port + 20, '--management-port', port + 40].map(String);
      return launch(['--data-dir', dataDir, ...ports, ...args], { SKEIN_TEST_PLACE: mark, ...env });
    },
    processes: () =>
      pids().map((pid) => {
        const command = attempt(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
        return { pid: Number(pid), command: command.replaceAll('\0', ' ').trim() };
      }),
    [Symbol.asyncDispose]: async () => {
      for (const pid of pids()) attempt(() => String(process.kill(Number(pid), 'SIGKILL')));
      // A process that was killed may still be writing its last file.
      rmSync(dataDir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    },
  };
};
