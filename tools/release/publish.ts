import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { services } from '../images/stage.ts';
import { type Digests, imageOf, sbomIn } from './images.ts';
import type { Outside } from './outside.ts';

/** What is published. */
export interface Release {
  /** Where everything lies that was made. */
  readonly folder: string;
  readonly registry: string;
  readonly tag: string;
  readonly digests: Digests;
  /** The packaged chart. */
  readonly chart: string;
  /** The programs; `helm` is the pinned one. */
  readonly helm: string;
}

const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

/** Lines as `sha256sum` writes them, sorted by name: the released files, and with `digests` the images by name. */
export const checksums = (files: readonly string[], images: Readonly<Record<string, string>> = {}): string =>
  [
    ...files.map((file) => [sha256(file), basename(file)] as const),
    ...Object.entries(images).map(([name, digest]) => [digest.replace('sha256:', ''), name] as const),
  ]
    .sort(([, a], [, b]) => (a < b ? -1 : 1))
    .map(([sum, name]) => `${sum}  ${name}\n`)
    .join('');

/** What nobody knows before it is pushed. */
const unknownDigest = 'sha256:…';

const digestOf = (said: string): string =>
  /^Digest: (sha256:[0-9a-f]{64})$/m.exec(said)?.[1] ?? unknownDigest;

/**
 * Signs the images by the identity of whoever runs this, attests what is in each, pushes the chart and signs it, and
 * makes the release. Beside it lie `SHA256SUMS` of the files, and `subjects.txt`, which has the images as well: what
 * the provenance is about.
 */
export const publish = async (
  { folder, registry, tag, digests, chart, helm }: Release,
  outside: Outside,
): Promise<void> => {
  for (const service of services) {
    const image = `${imageOf(registry, service)}@${digests[service] ?? unknownDigest}`;
    await outside('cosign', 'sign', '--yes', image);
    const sbom = sbomIn(folder, service);
    await outside('cosign', 'attest', '--yes', '--type', 'cyclonedx', '--predicate', sbom, image);
  }
  const said = await outside(helm, 'push', chart, `oci://${registry}/charts`);
  await outside('cosign', 'sign', '--yes', `${registry}/charts/skein@${digestOf(said)}`);
  const files = [chart, ...services.map((service) => sbomIn(folder, service))];
  const images = Object.fromEntries(
    Object.entries(digests).map(([service, digest]) => [imageOf(registry, service), digest]),
  );
  const sums = join(folder, 'SHA256SUMS');
  writeFileSync(sums, checksums(files));
  writeFileSync(join(folder, 'subjects.txt'), checksums(files, images));
  const notes = join(folder, 'notes.md');
  await outside(
    'gh',
    'release',
    'create',
    tag,
    '--verify-tag',
    '--title',
    tag,
    '--notes-file',
    notes,
    sums,
    ...files,
  );
};
