import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { catalogue, componentNamed, isComponentName } from '../src/catalogue.ts';
import { modulesFolder } from '../src/go-toolchain.ts';

describe('the catalogue of components', () => {
  const goComponents = catalogue.filter((component) => component.recipe.kind === 'go');

  it.each(goComponents)(
    '$name has the version that its Go module requires',
    async ({ name, version, recipe }) => {
      const goMod = await readFile(join(modulesFolder, name, 'go.mod'), 'utf8');
      const required = goMod
        .split('\n')
        .map((row) => row.trim().split(' '))
        .find(
          ([module = '']) =>
            recipe.kind === 'go' && `${recipe.library ?? recipe.package}/`.startsWith(`${module}/`),
        );
      const { moduleVersion = version } = recipe.kind === 'go' ? recipe : {};
      expect(required?.[1]).toBe(`v${moduleVersion}`);
    },
  );

  it('has the version of Chromium that is installed', async () => {
    const entry = fileURLToPath(import.meta.resolve('@sparticuz/chromium'));
    const manifest: unknown = JSON.parse(await readFile(join(entry, '..', '..', 'package.json'), 'utf8'));
    expect(manifest).toMatchObject({ version: componentNamed('chromium').version });
  });

  it('knows its own names only', () => {
    expect(catalogue.every(({ name }) => isComponentName(name) && componentNamed(name).name === name)).toBe(
      true,
    );
    expect(isComponentName('toString')).toBe(false);
  });
});
