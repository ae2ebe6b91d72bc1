import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from '../run.ts';

/** A package of the workspace or of npm that is part of an image. */
export interface NpmPackage {
  readonly name: string;
  readonly version: string;
  /** As in its package.json: an SPDX identifier or expression; undefined when it does not say. */
  readonly license: string | undefined;
  /** Ours, in this work tree. */
  readonly own: boolean;
  readonly folder: string;
  readonly dependencies: readonly string[];
}

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

/** The package in a folder. */
export const packageAt = (folder: string): NpmPackage => {
  const manifest: Manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const { name, version, license, dependencies = {} } = manifest;
  const own = !folder.includes('/node_modules/');
  return { name, version, license, own, folder, dependencies: Object.keys(dependencies) };
};

/** The folder of the package that a file of a bundle is from; `file` is relative to the root of the work tree. */
export const folderOf = (file: string): string => {
  const inNpm = /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file);
  const inTree = /^(?:packages|services)\/[^/]+(?=\/)/.exec(file);
  const found = (inNpm ?? inTree)?.[0];
  if (!found) throw new Error(`${file} belongs to no package.`);
  return join(root, found);
};

/** Where Node finds the package `name` from a folder: the nearest `node_modules` that has it. */
export const resolvePackage = (name: string, from: string): string | undefined => {
  for (let folder = realpathSync(from); ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', name);
    if (existsSync(join(candidate, 'package.json'))) return realpathSync(candidate);
    if (folder === dirname(folder)) return undefined;
  }
};

/** The packages that one in `folder` needs at run time, and theirs, by folder; optional ones that are absent are not. */
export const productionDependencies = (folder: string): ReadonlyMap<string, NpmPackage> => {
  const found = new Map<string, NpmPackage>();
  const visit = (one: NpmPackage) => {
    for (const name of one.dependencies) {
      const at = resolvePackage(name, one.folder);
      if (!at || found.has(at)) continue;
      const dependency = packageAt(at);
      found.set(at, dependency);
      visit(dependency);
    }
  };
  visit(packageAt(folder));
  return found;
};
