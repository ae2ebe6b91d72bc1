import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

/** The root of the work tree. */
export const root = fileURLToPath(new URL('..', import.meta.url));

/** What a finished program leaves. */
export interface Finished {
  readonly code: number;
  /** What it wrote, standard output before standard error. */
  readonly output: string;
}

/** The path of a program that an npm package of the root installs. */
export const bin = (name: string): string => join(root, 'node_modules', '.bin', name);

/** Runs a program to its end and gives its exit code and output; it does not fail when the program does. */
export const run = async (file: string, args: readonly string[], cwd = root): Promise<Finished> => {
  const child = spawn(file, [...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, err, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  return {
    code: typeof code === 'number' ? code : 1,
    output: signal ? `${out}${err}ended by ${signal}\n` : out + err,
  };
};

/** As `run`, and an error with the output when the program fails. */
export const must = async (file: string, args: readonly string[], cwd = root): Promise<string> => {
  const { code, output } = await run(file, args, cwd);
  if (code !== 0) throw new Error(`${[file, ...args].join(' ')} failed:\n${output}`);
  return output;
};
