import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { componentPath } from '@skein/components';
import type { Placed } from './device.ts';

/** What the Python device has seen. */
export interface PythonState {
  readonly events: readonly Placed[];
  readonly texts: Readonly<Record<string, string>>;
  /** Token frames by message id. */
  readonly tokens: Readonly<Record<string, number>>;
}

/** A device in another language and process. */
export interface PythonDevice {
  /** Resolves when the events seen so far satisfy the predicate. */
  until(what: string, predicate: (events: readonly Placed[]) => boolean): Promise<void>;
  state(): Promise<PythonState>;
  close(): Promise<void>;
}

const giveUpMs = 45_000;

/** Starts device.py with the `websockets` package that `npm run components` has fetched. */
export const openPythonDevice = async (url: string, id: string, token: string): Promise<PythonDevice> => {
  const packages = await componentPath('python-websockets');
  const child = spawn('python3', [fileURLToPath(new URL('device.py', import.meta.url)), url, id, token], {
    env: { ...process.env, PYTHONPATH: packages },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const events: Placed[] = [];
  let welcomed = false;
  let answer: ((state: PythonState) => void) | undefined;
  const checks = new Set<() => void>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    const said = JSON.parse(line) as {
      welcome?: true;
      offset?: number;
      event?: Placed['event'];
      state?: PythonState;
    };
    if (said.welcome) welcomed = true;
    if (said.event) events.push({ offset: said.offset ?? 0, event: said.event });
    if (said.state) answer?.(said.state);
    for (const check of checks) check();
  });
  const until = (what: string, isDone: () => boolean) =>
    new Promise<void>((resolve, reject) => {
      const end = () => {
        clearTimeout(timer);
        checks.delete(check);
      };
      const check = () => {
        if (!isDone()) return;
        end();
        resolve();
      };
      const timer = setTimeout(() => {
        end();
        reject(
          new Error(`${id} waited in vain for ${what}; last events: ${JSON.stringify(events.slice(-5))}`),
        );
      }, giveUpMs);
      checks.add(check);
      check();
    });
  await until('welcome', () => welcomed);
  return {
    until: (what, predicate) => until(what, () => predicate(events)),
    state: () =>
      new Promise((resolve) => {
        answer = resolve;
        child.stdin.write('state\n');
      }),
    close: async () => {
      if (child.exitCode !== null) return;
      const ended = once(child, 'exit');
      child.stdin.end('close\n');
      await ended;
    },
  };
};
