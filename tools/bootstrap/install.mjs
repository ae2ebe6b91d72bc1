import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { filesUnder, fingerprint, readMark } from './fingerprint.mjs';
import { withLock } from './lock.mjs';
import { pinnedNode, root, runStep, StepFailed } from './run.mjs';

const modules = join(root, 'node_modules');
const mark = join(modules, '.skein-installed');
const lockFile = join(modules, '.skein-install.lock');

/** A first install on a slow line; a second run waits this long for it. */
const lockTimeoutMs = 15 * 60_000;

/** Everything that decides what is installed. */
const manifests = () => [
  join(root, 'package.json'),
  join(root, 'pnpm-lock.yaml'),
  join(root, 'pnpm-workspace.yaml'),
  ...['packages', 'services', 'test'].flatMap((folder) =>
    filesUnder(join(root, folder)).filter((file) => file.endsWith('package.json')),
  ),
];

const isInstalled = () => readMark(mark) === fingerprint(root, manifests()) && existsSync(pinnedNode);

/** `pnpm@10.34.9`: exactly the version that `packageManager` names, or pnpm would try to replace itself. */
const packageManager = () => JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).packageManager;

const explain = (error) => {
  if (!(error instanceof StepFailed)) return error;
  if (/cannot be run/.test(error.message)) {
    return new Error(
      'npm was not found: install Node.js 20 or newer with npm from nodejs.org, and run this again.',
    );
  }
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENETUNREACH|ETIMEDOUT|ECONNRESET/.test(error.output)) {
    return new Error(
      'The npm registry cannot be reached: the first install needs a network, later runs do not.',
    );
  }
  return error;
};

const installNow = async () => {
  const manager = packageManager();
  const args = ['--yes', manager, 'install', '--frozen-lockfile', '--config.confirmModulesPurge=false'];
  try {
    await runStep('install', `dependencies with ${manager}`, 'npx', args);
  } catch (error) {
    throw explain(error);
  }
  if (!existsSync(pinnedNode)) {
    throw new Error(
      'The npm package "node" has no binary: install scripts are switched off on this machine (ignore-scripts).',
    );
  }
  writeFileSync(mark, fingerprint(root, manifests()));
};

/** Installs the dependencies when they are not those of the manifests; touches no network when they are. */
export const install = async () => {
  if (isInstalled()) return;
  const onWait = () => process.stdout.write('install  another run is installing; waiting for it\n');
  await withLock(lockFile, { onWait, timeoutMs: lockTimeoutMs }, async () => {
    if (!isInstalled()) await installNow();
  });
};
