import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the work tree. */
export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** The Node that this repository pins as an npm package; it exists after the first install. */
export const pinnedNode = join(root, 'node_modules', 'node', 'bin', 'node');

const failureLines = 40;

/** Stripping types and compiling cost every process 0.8 s and 25 MB; with a cache only the first one pays. */
const compileCache = join(root, 'node_modules', '.cache', 'skein-compiled');

/** The pinned Node and our tools come first on PATH, also for what a command starts itself. */
const environment = () => ({
  ...process.env,
  PATH: [join(root, 'node_modules', '.bin'), dirname(pinnedNode), process.env.PATH].join(delimiter),
  NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? compileCache,
});

const line = (text) => process.stdout.write(`${text}\n`);
const seconds = (start) => `${((performance.now() - start) / 1000).toFixed(1)} s`;

/** A program that failed or could not be started; `output` is what it wrote, when that was not shown. */
export class StepFailed extends Error {
  constructor(message, output) {
    super(message);
    this.output = output;
  }
}

/**
 * Runs a program to its end as one step of the preparation: one line before, one after. Its output is kept for
 * the error, or passed through with `show`.
 */
export const runStep = async (subject, doing, file, args, { cwd = root, env = {}, show = false } = {}) => {
  const start = performance.now();
  line(`${subject}  ${doing}`);
  const output = [];
  const code = await new Promise((resolve, reject) => {
    const stdio = show ? 'inherit' : ['ignore', 'pipe', 'pipe'];
    const child = spawn(file, args, { cwd, env: { ...environment(), ...env }, stdio });
    child.stdout?.on('data', (chunk) => output.push(chunk));
    child.stderr?.on('data', (chunk) => output.push(chunk));
    child.once('error', (error) => reject(new StepFailed(`${file} cannot be run: ${error.message}`, '')));
    child.once('close', resolve);
  });
  if (code !== 0) {
    const text = Buffer.concat(output).toString('utf8').trimEnd();
    const tail = text.split('\n').slice(-failureLines).join('\n');
    throw new StepFailed(
      `${tail}${tail ? '\n' : ''}${subject}: ${doing} failed after ${seconds(start)}.`,
      text,
    );
  }
  line(`${subject}  done in ${seconds(start)}`);
};

const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP'];

const runAsChild = (file, args) =>
  new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd: root, env: environment(), stdio: 'inherit' });
    for (const signal of forwarded) {
      process.on(signal, () => {
        // Ctrl-C in a terminal reaches the child without us; twice would mean "now" to it.
        if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
      });
    }
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
  });

/**
 * Runs the command itself, with our input, output and arguments, and gives its exit code. On a Node that can, it
 * takes the place of this process, so that nothing of ours idles beside it and signals need no forwarding.
 */
export const finishWith = (file, args) => {
  if (typeof process.execve === 'function' && process.platform !== 'win32') {
    process.chdir(root);
    process.removeAllListeners('warning');
    process.execve(file, [file, ...args], environment());
  }
  return runAsChild(file, args);
};
