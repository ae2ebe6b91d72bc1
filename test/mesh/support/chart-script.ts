import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { chart } from './paths.ts';

/** What a script of the chart left. */
export interface ScriptResult {
  readonly ok: boolean;
  readonly output: string;
}

const timeoutMs = 90_000;

/** Runs a script that the chart puts into a pod, as its container would: this Node, and nothing else in the environment. */
export const chartScript = async (
  name: string,
  env: Readonly<Record<string, string>>,
): Promise<ScriptResult> => {
  try {
    const run = promisify(execFile)(process.execPath, [join(chart, 'files', name)], {
      env: { ...env },
      timeout: timeoutMs,
    });
    const { stdout, stderr } = await run;
    return { ok: true, output: stdout + stderr };
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    return { ok: false, output: stdout + stderr };
  }
};
