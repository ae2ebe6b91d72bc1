import { type ChildProcess, spawn } from 'node:child_process';
import type { Service } from '@skein/service-kit';

/** How a supervised process is started, again and again. */
export interface ProcessSpec {
  /** Name in logs, such as `auth` or `auth.2`. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** The whole environment of a life, asked for at each start. */
  readonly env: () => Readonly<Record<string, string>>;
  /** How long it may take to say that it is ready. */
  readonly readyTimeoutMs: number;
  /** How long it may take to end after SIGTERM before SIGKILL. */
  readonly stopTimeoutMs: number;
}

/** What happens to a process, for the log. */
export type ProcessEvent =
  | { readonly kind: 'ready'; readonly afterMs: number }
  | {
      readonly kind: 'exited';
      readonly code: number | null;
      readonly signal: string | null;
      readonly restartInMs: number;
    }
  | { readonly kind: 'line'; readonly line: string };

/** A process that is kept running. */
export interface SupervisedProcess extends Service {
  /** The running process's id; undefined between two lives. */
  readonly pid: number | undefined;
  /** How often it was started. */
  readonly starts: number;
  /** Resolves when the present life (or the next one) is ready. */
  ready(): Promise<void>;
  /** Sends a signal to the present life; false when there is none. */
  kill(signal: NodeJS.Signals): boolean;
}

/** Doubles from 100 ms to 10 s; a life longer than 10 s starts again from 100 ms. */
const backoffMs = { first: 100, most: 10_000, healthyAfter: 10_000 };

/** sysexits.h EX_CONFIG: starting again cannot help. */
const exitConfig = 78;

/** Longest line passed on; the rest is cut. */
const maxLineLength = 16_384;

const eachLine = (stream: NodeJS.ReadableStream, told: (line: string) => void): void => {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = (lines.pop() ?? '').slice(-maxLineLength);
    for (const line of lines) if (line !== '') told(line.slice(0, maxLineLength));
  });
};

/**
 * A child that says `{type: 'ready'}` over IPC, restarted with backoff whenever it ends by itself. `run`
 * resolves at the first ready and rejects when the first life ends before it; later lives are retried for ever,
 * except after a wrong configuration (exit 78). Gives the child no shell and no standard input.
 */
export const supervise = (spec: ProcessSpec, told: (event: ProcessEvent) => void): SupervisedProcess => {
  let child: ChildProcess | undefined;
  let starts = 0;
  let stopping = false;
  let delayMs = backoffMs.first;
  let timer: NodeJS.Timeout | undefined;
  let isReady = false;
  const waiting: { resolve: () => void; reject: (error: Error) => void }[] = [];
  let lastLine = '';

  const settle = (error?: Error) => {
    for (const one of waiting.splice(0)) error ? one.reject(error) : one.resolve();
  };

  const start = () => {
    starts += 1;
    isReady = false;
    const startedAt = performance.now();
    const life = spawn(spec.command, spec.args, {
      env: spec.env(),
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // A process group of its own: Ctrl-C reaches only us, and we stop the parts in order.
      detached: true,
    });
    child = life;
    const late = setTimeout(() => {
      told({ kind: 'line', line: `not ready after ${spec.readyTimeoutMs} ms, starting it again` });
      life.kill('SIGKILL');
    }, spec.readyTimeoutMs);
    for (const stream of [life.stdout, life.stderr]) {
      if (stream) {
        eachLine(stream, (line) => {
          lastLine = line;
          told({ kind: 'line', line });
        });
      }
    }
    life.on('error', (error) => told({ kind: 'line', line: `could not be started: ${error.message}` }));
    life.on('message', (message) => {
      if (typeof message !== 'object' || message === null || !('type' in message) || message.type !== 'ready')
        return;
      clearTimeout(late);
      isReady = true;
      told({ kind: 'ready', afterMs: Math.round(performance.now() - startedAt) });
      settle();
    });
    life.on('close', (code, signal) => {
      clearTimeout(late);
      child = undefined;
      const wasReady = isReady;
      isReady = false;
      if (stopping) return;
      const lived = performance.now() - startedAt;
      delayMs = wasReady && lived > backoffMs.healthyAfter ? backoffMs.first : delayMs;
      if (code === exitConfig || (starts === 1 && !wasReady)) {
        settle(
          new Error(`${spec.name} ended before it was ready (${signal ?? `exit ${code}`}): ${lastLine}`),
        );
        told({ kind: 'exited', code, signal, restartInMs: -1 });
        return;
      }
      told({ kind: 'exited', code, signal, restartInMs: delayMs });
      timer = setTimeout(start, delayMs);
      delayMs = Math.min(delayMs * 2, backoffMs.most);
    });
  };

  const ready = () =>
    isReady ? Promise.resolve() : new Promise<void>((resolve, reject) => waiting.push({ resolve, reject }));

  return {
    id: spec.name,
    get pid() {
      return child?.pid;
    },
    get starts() {
      return starts;
    },
    run: () => {
      const first = ready();
      start();
      return first;
    },
    ready,
    kill: (signal) => child?.kill(signal) ?? false,
    stop: async () => {
      stopping = true;
      clearTimeout(timer);
      settle(new Error(`${spec.name} was stopped`));
      const life = child;
      if (!life) return;
      const closed = new Promise<void>((resolve) => life.once('close', () => resolve()));
      life.kill('SIGTERM');
      const hard = setTimeout(() => life.kill('SIGKILL'), spec.stopTimeoutMs);
      await closed;
      clearTimeout(hard);
    },
  };
};
