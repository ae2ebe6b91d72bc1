import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { catalogue } from '../../packages/components/src/catalogue.ts';
import { componentImages } from '../images/components.ts';
import { root } from '../run.ts';

interface CustomManager {
  readonly description: string;
  readonly managerFilePatterns: readonly string[];
  readonly matchStrings: readonly string[];
}

const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const { customManagers }: { customManagers: readonly CustomManager[] } = JSON.parse(read('renovate.json'));
const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: root })
  .toString()
  .split('\n');

/** Files that a manager looks at; a pattern is a regular expression between slashes. */
const filesOf = ({ managerFilePatterns }: CustomManager): string[] =>
  files.filter((file) => managerFilePatterns.some((pattern) => new RegExp(pattern.slice(1, -1)).test(file)));

/** What a manager finds: names with their versions. */
const found = (manager: CustomManager): string[] =>
  filesOf(manager).flatMap((file) =>
    manager.matchStrings.flatMap((text) =>
      [...read(file).matchAll(new RegExp(text, 'g'))].map(
        ({ groups }) => `${groups?.['depName'] ?? ''} ${groups?.['currentValue']}`,
      ),
    ),
  );

const named = (words: string): string[] =>
  customManagers.filter(({ description }) => description.startsWith(words)).flatMap(found);

describe('what Renovate looks for by our own patterns', () => {
  it.each(customManagers)('is somewhere, and readable for its engine: $description', (manager) => {
    expect(found(manager)).not.toEqual([]);
    // RE2 looks neither ahead nor behind.
    for (const text of manager.matchStrings) expect(text).not.toMatch(/\(\?<?[=!]/);
  });

  it('is every component that is built of a Go module, with the version that is linked into it', () => {
    const expected = catalogue.flatMap(({ name, version, recipe }) => {
      if (recipe.kind !== 'go' || name === 'promtool') return [];
      const [module = ''] = (recipe.library ?? recipe.package).split('/cmd/');
      return recipe.ldflags === '' ? [`${module} ${version}`] : Array(2).fill(`${module} ${version}`);
    });
    expect(named('Components in the catalogue').sort()).toEqual(expected.sort());
  });

  it('is promtool, twice, by the version that people know', () => {
    const promtool = catalogue.find(({ name }) => name === 'promtool')?.version;
    expect(named('promtool')).toEqual([` ${promtool}`, ` ${promtool}`]);
  });

  it('is every module that schemas are made of', () => {
    const modules = catalogue.flatMap(({ recipe }) => (recipe.kind === 'schemas' ? recipe.modules : []));
    expect(named('Modules that schemas')).toEqual(
      modules.map(({ module, version }) => `${module} ${version}`),
    );
  });

  it('is every image that has a stand-in', () => {
    const images = Object.values(componentImages).map(({ image }) => image.replace(/:([^:]+)$/, ' $1'));
    expect(named('Images that stand-ins')).toEqual(images);
  });

  it('is the Helm of the workflow', () => {
    const helm = catalogue.find(({ name }) => name === 'helm')?.version;
    expect(named('Helm in the workflow')).toEqual([` v${helm}`]);
  });
});
