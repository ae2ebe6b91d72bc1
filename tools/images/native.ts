import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { must, root } from '../run.ts';
import { packageAt, resolvePackage } from './npm-package.ts';
import { lockedIntegrity } from './sbom.ts';

/** What images are made for: Linux with the GNU C library. */
export interface Platform {
  readonly arch: 'x64' | 'arm64';
}

const architectures: Readonly<Record<string, Platform['arch']>> = { amd64: 'x64', arm64: 'arm64' };

/** Reads `linux/amd64` or `linux/arm64`, as builders call them. */
export const platformNamed = (name: string): Platform => {
  const [, arch = ''] = /^linux\/(\w+)$/.exec(name) ?? [];
  const known = architectures[arch];
  if (!known) throw new Error(`There are no images for ${name}: choose linux/amd64 or linux/arm64.`);
  return { arch: known };
};

/** The platform of this machine's containers: on a Mac, too, they are Linux. */
export const ownPlatform = (): Platform => ({ arch: process.arch === 'arm64' ? 'arm64' : 'x64' });

/** Fetches a package that is locked but not installed here, and checks it against the lockfile. */
const fetchPackage = async (name: string, version: string): Promise<string> => {
  const cache = join(root, 'dist/images/native');
  const folder = join(cache, `${name.replace('/', '+')}@${version}`);
  if (existsSync(folder)) return folder;
  const integrity = lockedIntegrity().get(`${name}@${version}`);
  if (!integrity) throw new Error(`${name} ${version} is not in pnpm-lock.yaml.`);
  mkdirSync(cache, { recursive: true });
  const staging = mkdtempSync(join(cache, '.staging-'));
  try {
    const packed = await must('npm', [
      'pack',
      `${name}@${version}`,
      '--silent',
      '--pack-destination',
      staging,
    ]);
    const archive = join(staging, packed.trim().split('\n').at(-1) ?? '');
    const sha512 = createHash('sha512').update(readFileSync(archive)).digest('base64');
    if (`sha512-${sha512}` !== integrity)
      throw new Error(`${name} ${version} is not the package that pnpm-lock.yaml names.`);
    await must('tar', ['-xzf', archive, '-C', staging]);
    renameSync(join(staging, 'package'), folder);
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  return folder;
};

/**
 * The folders that a native package of a service needs beside the bundle, for a platform: the package itself and the
 * one with its compiled code. Those of another platform than this machine's are fetched by npm.
 */
export const nativeFolders = async (name: string, service: string, { arch }: Platform): Promise<string[]> => {
  const loader = resolvePackage(name, join(root, 'services', service));
  if (!loader) throw new Error(`${name} is not installed: run the install again.`);
  const compiled = `${name}-linux-${arch}-gnu`;
  const installed = resolvePackage(compiled, loader);
  return [loader, installed ?? (await fetchPackage(compiled, packageAt(loader).version))];
};
