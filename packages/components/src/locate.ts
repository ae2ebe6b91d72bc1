import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { type Component, type ComponentName, componentNamed } from './catalogue.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Where a component was found. `origin` says which of the three places won. */
export interface Found {
  readonly path: string;
  readonly origin: 'variable' | 'PATH' | 'cache';
}

/** A program that does not tell its version in this time is not the one we look for. */
const versionTimeoutMs = 10_000;

/** `${SKEIN_CACHE}`, else the user's cache directory: outside the work tree, so that every checkout shares it. */
export const cacheDirectory = (env: Environment = process.env): string =>
  env['SKEIN_CACHE'] || join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'skein');

/** The folder of one pinned version in the cache; a new pin gets a new folder and never meets the old one. */
export const cachedFolder = (component: Component, env: Environment = process.env): string =>
  join(cacheDirectory(env), 'components', `${component.name}-${component.version}`);

/** The first three numbers of a program's answer to its version flag, or nothing when it does not give one. */
export const versionOf = async (
  path: string,
  args: readonly string[],
): Promise<readonly [number, number, number] | undefined> => {
  try {
    const { stdout, stderr } = await promisify(execFile)(path, [...args], { timeout: versionTimeoutMs });
    const match = /(\d+)\.(\d+)(?:\.(\d+))?/.exec(`${stdout}\n${stderr}`);
    return match ? [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)] : undefined;
  } catch {
    // It cannot be run or knows no such flag: then it is not the program we look for.
    return undefined;
  }
};

/** Compares versions number by number: negative when `a` is older than `b`. */
export const compareVersions = (a: readonly number[], b: readonly number[]): number => {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
};

const numbers = (version: string): number[] => version.split('.').map(Number);

const runnable = async (path: string): Promise<boolean> => {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};

/** A file that a folder has when it is what it should be; nothing for a program. */
const markOf = ({ recipe }: Component): string | undefined => {
  if (recipe.kind === 'pip') return join(recipe.package, '__init__.py');
  return recipe.kind === 'schemas' ? join('crds', 'sigs.k8s.io', 'gateway-api') : undefined;
};

/** Whether a path is what a component is used by: a program, or a folder with what its mark says. */
const isUsable = async (component: Component, path: string): Promise<boolean> => {
  const mark = markOf(component);
  if (mark === undefined) return runnable(path);
  return access(join(path, mark)).then(
    () => true,
    () => false,
  );
};

const acceptable = async (component: Component, path: string): Promise<boolean> => {
  const version = await versionOf(path, component.versionArgs);
  if (!version || compareVersions(version, numbers(component.oldest)) < 0) return false;
  return !component.sameMajor || version[0] === numbers(component.version)[0];
};

const onPath = async (component: Component, env: Environment): Promise<string | undefined> => {
  for (const command of component.commands) {
    for (const folder of (env['PATH'] ?? '').split(delimiter).filter(Boolean)) {
      const path = join(folder, command);
      if ((await runnable(path)) && (await acceptable(component, path))) return path;
    }
  }
  return undefined;
};

/**
 * Looks for a component without making anything: the variable, then PATH (when the version is acceptable), then
 * the cache. A variable that names nothing usable is a fault, because silently using another one would hide it.
 */
export const findComponent = async (
  component: Component,
  env: Environment = process.env,
): Promise<Found | undefined> => {
  const named = env[component.variable];
  if (named) {
    if (await isUsable(component, named)) return { path: named, origin: 'variable' };
    const { recipe } = component;
    const what =
      recipe.kind === 'pip'
        ? `a folder with the Python package ${recipe.package}`
        : markOf(component)
          ? `a folder with ${markOf(component)}`
          : 'a program that can be run';
    throw new Error(`${component.variable} is ${named}, which is not ${what}.`);
  }
  const path = await onPath(component, env);
  if (path) return { path, origin: 'PATH' };
  const folder = cachedFolder(component, env);
  const cached = markOf(component) ? folder : join(folder, component.name);
  return (await isUsable(component, cached)) ? { path: cached, origin: 'cache' } : undefined;
};

/**
 * The absolute path of a component that is ready to run; of a Python package or of schemas the folder. Never builds: when it is missing, the error is a
 * sentence that says which command gets it.
 */
export const componentPath = async (name: ComponentName, env: Environment = process.env): Promise<string> => {
  const component = componentNamed(name);
  const found = await findComponent(component, env);
  if (found) return found.path;
  throw new Error(
    `${name} ${component.version} is missing: run "npm run components", or ${component.byHand}, or set ${component.variable} to its path.`,
  );
};
