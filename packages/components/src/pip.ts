import { runTool } from './run-tool.ts';

const installTimeoutMs = 10 * 60_000;
const probeTimeoutMs = 60_000;

const pips = [['python3', '-m', 'pip'], ['pip3'], ['pip']] as const;

/** The command of the first pip that runs on this machine; undefined when there is none. */
export const workingPip = async (): Promise<readonly string[] | undefined> => {
  for (const [file, ...args] of pips) {
    try {
      await runTool(file, [...args, '--version'], { timeoutMs: probeTimeoutMs });
      return [file, ...args];
    } catch {
      // Not this one; the list is short.
    }
  }
  return undefined;
};

/** Installs one requirement such as `websockets==15.0.1`, without what it depends on, into a folder of its own. */
export const pipInstall = async (
  [file = '', ...args]: readonly string[],
  requirement: string,
  folder: string,
): Promise<void> => {
  const quiet = ['--quiet', '--disable-pip-version-check', '--no-deps'];
  await runTool(file, [...args, 'install', ...quiet, '--target', folder, requirement], {
    timeoutMs: installTimeoutMs,
  });
};
