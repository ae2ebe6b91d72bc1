import { type ChildProcess, spawn } from 'node:child_process';
import type { Service } from '@skein/service-kit';
import { eachLine } from './lines.ts';

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
  | { readonly kind: 'started'; readonly pid: number }
  | { readonly kind: 'ready'; readonly afterMs: number }
  | {
      readonly kind: 'exited';
      readonly code: number | null;
      readonly signal: string | null;
      /** Undefined: it is not started again. */
      readonly restartInMs: number | undefined;
    }
  | { readonly kind: 'line'; readonly line: string };

/** A process that is kept running. */
export interface SupervisedProcess extends Service {
  /** The running process's id; undefined between two lives. */
  readonly pid: number | undefined;
  /** How often it was started. */
  readonly starts: number;
  /** Resolves when the present life (or the next one) is ready; rejects when there will be no next one. */
  ready(): Promise<void>;
  /** Sends a signal to the present life; false when there is none. */
  kill(signal: NodeJS.Signals): boolean;
}

/** A process ended and is not started again. */
export class ProcessEndedError extends Error {
  override readonly name = 'ProcessEndedError';
  readonly process: string;
  /** Its exit code; null when a signal ended it. */
  readonly code: number | null;
  /** The last lines it wrote. */
  readonly lastLines: readonly string[];
  constructor(process: string, code: number | null, signal: string | null, lastLines: readonly string[]) {
    super(`${process} ended before it was ready (${signal ?? `exit ${code}`})`);
    this.process = process;
    this.code = code;
    this.lastLines = lastLines;
  }
}

/** sysexits.h EX_CONFIG: starting again cannot help. */
export const exitConfig = 78;

/** Doubles from 100 ms to 10 s; a life longer than 10 s starts again from 100 ms. */
const backoffMs = { first: 100, most: 10_000, healthyAfter: 10_000 };

/** Somebody who inherited a process's output may hold it open after its end; nothing more of it is read then. */
const outputTimeoutMs = 1_000;

/** Enough for every fault of a configuration. */
const keptLines = 40;

const saysReady = (message: unknown): boolean =>
  typeof message === 'object' && message !== null && 'type' in message && message.type === 'ready';

/**
 * A child that says `{type: 'ready'}` over IPC, restarted with backoff whenever it ends by itself. `run`
 * resolves at the first ready and rejects with a ProcessEndedError when the first life ends before it; later lives
 * are retried for ever, except after a wrong configuration (exit 78). Gives the child no shell and no standard
 * input. `stop` resolves when it is gone.
 */
export const supervise = (spec: ProcessSpec, told: (event: ProcessEvent) => void): SupervisedProcess => {
  let child: ChildProcess | undefined;
  let starts = 0;
  let isReady = false;
  /** Why there is no next life. */
  let over: Error | undefined;
  let delayMs = backoffMs.first;
  let timer: NodeJS.Timeout | undefined;
  let lastLines: string[] = [];
  const waiting: { resolve: () => void; reject: (error: Error) => void }[] = [];

  const end = (why: Error) => {
    over ??= why;
    for (const one of waiting.splice(0)) one.reject(over);
  };

  const start = () => {
    starts += 1;
    lastLines = [];
    const startedAt = performance.now();
    const life = spawn(spec.command, spec.args, {
      env: spec.env(),
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // A process group of its own: Ctrl-C reaches only us, and we stop the parts in order.
      detached: true,
    });
    child = life;
    if (life.pid !== undefined) told({ kind: 'started', pid: life.pid });

    const line = (text: string) => {
      lastLines.push(text);
      if (lastLines.length > keptLines) lastLines.shift();
      told({ kind: 'line', line: text });
    };
    for (const stream of [life.stdout, life.stderr]) if (stream) eachLine(stream, line);

    let output: NodeJS.Timeout | undefined;
    const late = setTimeout(() => {
      line(`not ready after ${spec.readyTimeoutMs} ms`);
      life.kill('SIGKILL');
    }, spec.readyTimeoutMs);
    life.on('error', (error) => line(`could not be started: ${error.message}`));
    life.on('message', (message) => {
      if (!saysReady(message) || isReady) return;
      clearTimeout(late);
      isReady = true;
      told({ kind: 'ready', afterMs: Math.round(performance.now() - startedAt) });
      for (const one of waiting.splice(0)) one.resolve();
    });
    life.on('exit', () => {
      output = setTimeout(() => {
        life.stdout?.destroy();
        life.stderr?.destroy();
      }, outputTimeoutMs);
    });
    life.on('close', (code, signal) => {
      clearTimeout(late);
      clearTimeout(output);
      child = undefined;
      const wasReady = isReady;
      isReady = false;
      if (over) return;
      if (code === exitConfig || (starts === 1 && !wasReady)) {
        told({ kind: 'exited', code, signal, restartInMs: undefined });
        end(new ProcessEndedError(spec.name, code, signal, lastLines));
        return;
      }
      if (wasReady && performance.now() - startedAt > backoffMs.healthyAfter) delayMs = backoffMs.first;
      told({ kind: 'exited', code, signal, restartInMs: delayMs });
      timer = setTimeout(start, delayMs);
      delayMs = Math.min(delayMs * 2, backoffMs.most);
    });
  };

  const ready = (): Promise<void> => {
    if (isReady) return Promise.resolve();
    if (over) return Promise.reject(over);
    return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
  };

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
      clearTimeout(timer);
      end(new Error(`${spec.name} was stopped`));
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
