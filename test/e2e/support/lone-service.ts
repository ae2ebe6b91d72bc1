import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** One service process without a launcher. */
export interface LoneService extends AsyncDisposable {
  readonly pid: number;
  /** What it wrote to standard output so far: its log, one JSON object a line. */
  readonly log: string;
  readonly stderr: string;
  /** Its exit code, once it has ended; null for a signal. */
  readonly exit: Promise<number | null>;
  readonly exited: boolean;
  /** Resolves when the log has a line with this text. */
  logged(text: string): Promise<void>;
}

/** Starts `services/<name>/src/main.ts` with this environment and nothing else. Dispose ends it. */
export const loneService = (name: string, env: Readonly<Record<string, string>>): LoneService => {
  const main = fileURLToPath(new URL(`../../../services/${name}/src/main.ts`, import.meta.url));
  const child = spawn(process.execPath, [main], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  let stderr = '';
  const watchers = new Set<() => void>();
  const exit = once(child, 'close').then(([code]) => code as number | null);
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    log += text;
    for (const watcher of watchers) watcher();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return {
    pid: child.pid ?? 0,
    get log() {
      return log;
    },
    get stderr() {
      return stderr;
    },
    exit,
    get exited() {
      return child.exitCode !== null || child.signalCode !== null;
    },
    logged: (text) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (!log.includes(text)) return;
          watchers.delete(look);
          resolve();
        };
        watchers.add(look);
        void exit.then((code) =>
          reject(new Error(`${name} ended with ${code} before it said ${text}:\n${log}${stderr}`)),
        );
        look();
      }),
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGTERM');
      await exit;
    },
  };
};
