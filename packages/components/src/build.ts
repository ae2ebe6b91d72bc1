import { chmod, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Component, GoRecipe, PipRecipe } from './catalogue.ts';
import { type GoToolchain, goEnvironment, modulesFolder } from './go-toolchain.ts';
import { buildKubernetesSchemas } from './kubernetes-schemas.ts';
import { cacheDirectory, cachedFolder, compareVersions, versionOf } from './locate.ts';
import { pipInstall, workingPip } from './pip.ts';
import { runTool } from './run-tool.ts';

/** The longest cold build measured is 5 minutes on two cores; a slow machine gets six times that. */
const buildTimeoutMs = 30 * 60_000;

const buildGo = async (
  component: Component,
  recipe: GoRecipe,
  go: GoToolchain,
  folder: string,
): Promise<void> => {
  const output = join(folder, component.name);
  const ldflags = `-s -w ${recipe.ldflags}`.trimEnd();
  const tags = recipe.tags === undefined ? [] : ['-tags', recipe.tags];
  const flags = ['-trimpath', '-buildvcs=false', ...tags, '-ldflags', ldflags];
  await runTool(go.path, ['build', ...flags, '-o', output, recipe.package], {
    cwd: join(modulesFolder, component.name),
    env: goEnvironment,
    timeoutMs: buildTimeoutMs,
  });
  // A build that is not what its name says would be believed forever once it is in the cache.
  const built = await versionOf(output, component.versionArgs);
  if (!built || compareVersions(built, component.version.split('.').map(Number)) !== 0) {
    throw new Error(`${component.name} was built but says it is ${built?.join('.') ?? 'nothing'}.`);
  }
};

const unpackChromium = async (component: Component, folder: string): Promise<void> => {
  const script = join(dirname(fileURLToPath(import.meta.url)), 'unpack-chromium.ts');
  await runTool(process.execPath, [script], { env: { TMPDIR: folder }, timeoutMs: buildTimeoutMs });
  if (!(await versionOf(join(folder, component.name), component.versionArgs))) {
    throw new Error(`The Chromium of @sparticuz/chromium does not run here: ${component.byHand}.`);
  }
};

const installPackage = async (component: Component, recipe: PipRecipe, folder: string): Promise<void> => {
  const pip = await workingPip();
  if (!pip) {
    throw new Error(
      `${component.name} needs pip, which was not found: ${component.byHand}, and run this again.`,
    );
  }
  await pipInstall(pip, `${recipe.package}==${component.version}`, folder);
};

/**
 * Makes a component and puts it into the cache in one rename, so that nobody ever sees half of it.
 * The caller holds the build lock. `go` is needed for recipes of Go modules only.
 */
export const buildComponent = async (component: Component, go: GoToolchain | undefined): Promise<void> => {
  const folder = cachedFolder(component);
  await mkdir(dirname(folder), { recursive: true });
  const staging = await mkdtemp(`${folder}.staging-`);
  try {
    await chmod(staging, 0o755);
    const { recipe } = component;
    if (recipe.kind === 'unpack') await unpackChromium(component, staging);
    else if (recipe.kind === 'pip') await installPackage(component, recipe, staging);
    else if (!go) throw new Error(`${component.name} needs Go.`);
    else if (recipe.kind === 'schemas') await buildKubernetesSchemas(recipe, go, staging);
    else await buildGo(component, recipe, go, staging);
    await rm(folder, { recursive: true, force: true });
    await rename(staging, folder);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
};

/** Removes what interrupted builds left in the cache. The caller holds the build lock, so nobody is at it now. */
export const removeUnfinished = async (): Promise<void> => {
  const folder = join(cacheDirectory(), 'components');
  const unfinished = (await readdir(folder)).filter((name) => name.includes('.staging-'));
  await Promise.all(unfinished.map((name) => rm(join(folder, name), { recursive: true, force: true })));
};
