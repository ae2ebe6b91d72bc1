import { join } from 'node:path';
import { buildComponent, removeUnfinished } from './build.ts';
import { withBuildLock } from './build-lock.ts';
import type { Component } from './catalogue.ts';
import { type GoToolchain, goToolchain } from './go-toolchain.ts';
import { cacheDirectory, findComponent } from './locate.ts';
import { type Line, step } from './progress.ts';

/** As long as the slowest build of somebody else may take. */
const lockTimeoutMs = 60 * 60_000;

const label = (component: Component): string => `${component.name} ${component.version}`.padEnd(20);

const reportFound = async (component: Component, line: Line): Promise<boolean> => {
  const found = await findComponent(component);
  if (found)
    line(`${label(component)}  ${found.path}${found.origin === 'cache' ? '' : ` (${found.origin})`}`);
  return found !== undefined;
};

const withoutGo = (missing: readonly Component[]): Error =>
  new Error(
    `Neither Go 1.26 nor pip was found, so nothing can be built: ${missing.map((c) => c.byHand).join(', ')}, and run this again.`,
  );

const doing = ({ recipe }: Component, go: GoToolchain | undefined): string => {
  const how = {
    go: `building with ${go?.version}`,
    unpack: 'unpacking',
    pip: 'fetching by pip',
    schemas: 'making from Go modules',
  }[recipe.kind];
  return `${how}, ${recipe.about}`;
};

const usesGo = ({ recipe }: Component): boolean => recipe.kind === 'go' || recipe.kind === 'schemas';

const build = async (missing: readonly Component[], line: Line): Promise<void> => {
  const needsGo = missing.filter((component) => usesGo(component));
  let go: GoToolchain | undefined;
  for (const component of missing) {
    if (usesGo(component)) {
      go ??= await goToolchain(line);
      if (!go) throw withoutGo(needsGo);
    }
    await step(line, label(component), doing(component, go), () => buildComponent(component, go));
    await reportFound(component, line);
  }
};

/**
 * Sees to it that every wanted component can be run: PATH, then the cache, then a build into the cache. Touches
 * no network when all are there. Two runs at once do not build the same thing twice: the second waits.
 */
export const provideComponents = async (wanted: readonly Component[], line: Line): Promise<void> => {
  const missing: Component[] = [];
  for (const component of wanted) if (!(await reportFound(component, line))) missing.push(component);
  if (missing.length === 0) return;
  const onWait = () => line('another run is building components; waiting for it');
  await withBuildLock(
    join(cacheDirectory(), 'components'),
    { onWait, timeoutMs: lockTimeoutMs },
    async () => {
      await removeUnfinished();
      // Somebody else may have built them while we waited.
      const still: Component[] = [];
      for (const component of missing) if (!(await reportFound(component, line))) still.push(component);
      await build(still, line);
    },
  );
};
