import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../run.ts';
import { bundle } from './bundle.ts';
import { contentsOf } from './contents.ts';
import { nativeFolders, type Platform } from './native.ts';
import { notices } from './notices.ts';
import { packageAt, resolvePackage } from './npm-package.ts';
import { lockedIntegrity, sbomOf } from './sbom.ts';

/** The services, as their folders are called. */
export const services = readdirSync(join(root, 'services')).sort();

/** Where one service's files are. */
export interface Staged {
  /** Everything that goes into the image, as it lies under /app there. */
  readonly app: string;
  /** Source maps, by the name of the file. */
  readonly maps: string;
}

/** What an image needs to know beside the sources. */
export interface StageOptions {
  readonly version: string;
  readonly platform: Platform;
}

const manifest: { version: string; devDependencies: { node: string } } = JSON.parse(
  readFileSync(join(root, 'package.json'), 'utf8'),
);

/** The version of this repository, which is the tag of its images. */
export const { version } = manifest;

/** The pinned Node, on which the bundles run. */
export const nodeVersion = manifest.devDependencies.node;

const writeAll = (folder: string, files: ReadonlyMap<string, string | Uint8Array>) => {
  mkdirSync(folder, { recursive: true });
  for (const [name, content] of files) writeFileSync(join(folder, name), content);
};

/** A package as it is installed, without what only people and compilers read. */
const copyPackage = (from: string, to: string) =>
  cpSync(from, to, {
    recursive: true,
    dereference: true,
    filter: (path) => !path.slice(from.length).includes('node_modules') && !/\.(md|d\.ts|map)$/.test(path),
  });

/** The protos that reflection reads when it is first asked; see the head of a bundle. */
const copyReflectionProtos = (app: string) => {
  const reflection = resolvePackage('@grpc/reflection', join(root, 'packages/rpc'));
  if (!reflection) throw new Error('@grpc/reflection is not installed: run the install again.');
  cpSync(join(reflection, 'build/proto'), join(app, 'proto'), { recursive: true });
};

/** Files that only the gateway serves: the web console and the page of its API. */
const copyPages = (app: string) => {
  const built = join(root, 'packages/console/dist');
  cpSync(built, join(app, 'console'), { recursive: true, filter: (path) => !path.endsWith('.built-from') });
  cpSync(join(root, 'services/gateway/src/http/docs'), join(app, 'docs'), { recursive: true });
};

/** The image's user owns nothing and must be able to read everything, whatever our umask is. */
const makeReadable = (folder: string) => {
  chmodSync(folder, 0o755);
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
    chmodSync(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o644);
};

/**
 * Makes `<folder>/<service>` (what goes into the image) and `<folder>/maps/<service>`, from nothing. The web console
 * has to be built before. The same sources give the same bytes.
 */
export const stageService = async (
  service: string,
  folder: string,
  { version, platform }: StageOptions,
): Promise<Staged> => {
  const app = join(folder, service);
  const maps = join(folder, 'maps', service);
  for (const old of [app, maps]) rmSync(old, { recursive: true, force: true });
  const made = await bundle(service);
  const native = await Promise.all(made.native.map((name) => nativeFolders(name, service, platform)));
  const contents = contentsOf(made, native.flat(), service === 'gateway');
  const sbom = sbomOf({ service, version, node: nodeVersion }, contents, lockedIntegrity());

  writeAll(app, made.files);
  writeAll(maps, made.maps);
  writeFileSync(join(app, 'sbom.cdx.json'), `${JSON.stringify(sbom, null, 1)}\n`);
  writeFileSync(join(app, 'licences.txt'), notices(contents));
  for (const from of native.flat()) copyPackage(from, join(app, 'node_modules', packageAt(from).name));
  copyReflectionProtos(app);
  if (service === 'gateway') copyPages(app);
  makeReadable(app);
  return { app, maps };
};
