import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';

/** Programs that are looked for on PATH; they speak to the cluster that `KUBECONFIG` names. */
export type Program = 'kubectl' | 'helm' | 'istioctl';

/** What a finished program left. */
export interface Answer {
  readonly ok: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a program is run. */
export interface AskOptions {
  /** Its standard input. */
  readonly input?: string;
  /** Until it is ended. */
  readonly timeoutMs?: number;
}

const minute = 60_000;

/** Runs a program to its end; it does not throw when the program fails, only when it cannot be run. */
export const ask = async (
  program: Program,
  args: readonly string[],
  { input = '', timeoutMs = minute }: AskOptions = {},
): Promise<Answer> => {
  const child = spawn(program, [...args], { timeout: timeoutMs });
  child.stdin.on('error', () => {}).end(input);
  const closed = once(child, 'close').catch((error: unknown) => {
    throw new Error(`${program} cannot be run: it has to be on PATH.`, { cause: error });
  });
  const [stdout, stderr, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    closed,
  ]);
  const ended = signal ? `ended by ${signal} after ${timeoutMs / 1000} s\n` : '';
  return { ok: code === 0, stdout, stderr: stderr + ended };
};

/** As `ask`, gives what the program wrote, and throws with all of it when the program fails. */
export const must = async (
  program: Program,
  args: readonly string[],
  options: AskOptions = {},
): Promise<string> => {
  const { ok, stdout, stderr } = await ask(program, args, options);
  if (!ok) throw new Error(`${[program, ...args].join(' ')} failed:\n${stderr}${stdout}`);
  return stdout;
};

/** What `kubectl` wrote. */
export const kubectl = (...args: readonly string[]): Promise<string> => must('kubectl', args);

/** A starting pod, or one that drains, on a machine that is busy with something else. */
const settleSeconds = 120;

/** What `kubectl wait`, `rollout status` or another command that takes a timeout wrote, with time for a slow machine. */
export const kubectlWait = (...args: readonly string[]): Promise<string> =>
  must('kubectl', [...args, `--timeout=${settleSeconds}s`], { timeoutMs: (settleSeconds + 30) * 1_000 });

/** An object, or a list of them, as the API server gives it. */
export const getJson = async <T>(...args: readonly string[]): Promise<T> =>
  JSON.parse(await kubectl('get', ...args, '-o', 'json')) as T;
