import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { perform } from '../images/builder.ts';
import { services, version } from '../images/stage.ts';
import { root } from '../run.ts';
import type { Outside } from './outside.ts';

/** Service → the digest of its image, `sha256:…`. */
export type Digests = Readonly<Record<string, string>>;

/** The image of a service, without its tag. */
export const imageOf = (registry: string, service: string): string => `${registry}/skein/${service}`;

const stagedSbom = (service: string): string => join(root, 'dist/images', service, 'sbom.cdx.json');

/** The bill of materials of a service's image, among what is released. */
export const sbomIn = (folder: string, service: string): string => join(folder, `${service}.cdx.json`);

const digestOf = (said: string): string => {
  const digest = /@(sha256:[0-9a-f]{64})/.exec(said)?.[1];
  if (!digest) throw new Error(`docker does not say which digest was pushed:\n${said}`);
  return digest;
};

/**
 * Builds the images by `npm run images`, pushes each, and gives their digests. In a dry run they are only staged, and
 * there are no digests.
 */
export const releaseImages = async (
  folder: string,
  registry: string,
  outside: Outside,
  dryRun: boolean,
): Promise<Digests> => {
  const tool = join(root, 'tools/images/main.ts');
  const how = dryRun ? ['--stage'] : ['--registry', registry];
  await perform([process.execPath, tool, ...how, 'services']);
  const digests: Record<string, string> = {};
  for (const service of services) {
    cpSync(stagedSbom(service), sbomIn(folder, service));
    const name = `${imageOf(registry, service)}:${version}`;
    await outside('docker', 'push', name);
    const said = await outside('docker', 'inspect', '--format', '{{index .RepoDigests 0}}', name);
    if (!dryRun) digests[service] = digestOf(said);
  }
  return digests;
};
