import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Output kept for the error message; a build that writes more than this fails, which no build of ours comes near. */
const maxOutputBytes = 64 * 1024 * 1024;
const tailLines = 12;

/** Where and with what environment a tool runs. */
export interface ToolOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly timeoutMs: number;
}

/** Runs a build tool to its end and gives its output; an error ends with the last lines the tool wrote. */
export const runTool = async (
  file: string,
  args: readonly string[],
  options: ToolOptions,
): Promise<string> => {
  try {
    const { stdout } = await promisify(execFile)(file, [...args], {
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      env: { ...process.env, ...options.env },
      timeout: options.timeoutMs,
      maxBuffer: maxOutputBytes,
    });
    return stdout;
  } catch (cause) {
    const stderr = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trimEnd() : '';
    const tail = stderr.split('\n').slice(-tailLines).join('\n');
    throw new Error(`${file} ${args.join(' ')} failed.${tail ? `\n${tail}` : ''}`, { cause });
  }
};
