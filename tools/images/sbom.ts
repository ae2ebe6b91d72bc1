import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { root } from '../run.ts';
import type { Contents } from './contents.ts';
import type { NpmPackage } from './npm-package.ts';

/** A CycloneDX 1.6 document, as far as we write one (cyclonedx.org/docs/1.6/json). */
export interface Sbom {
  readonly bomFormat: 'CycloneDX';
  readonly specVersion: '1.6';
  readonly version: 1;
  readonly metadata: { readonly component: Component };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

interface Component {
  readonly type: 'application' | 'library' | 'platform';
  readonly 'bom-ref': string;
  readonly group?: string;
  readonly name: string;
  readonly version: string;
  readonly hashes?: readonly { readonly alg: 'SHA-512'; readonly content: string }[];
  readonly licenses?: readonly (
    | { readonly license: { readonly id: string } }
    | { readonly expression: string }
  )[];
  readonly purl: string;
}

type Lockfile = {
  readonly packages: Readonly<Record<string, { readonly resolution?: { readonly integrity?: string } }>>;
};

/** `name@version` → checksum of the archive the registry gave (SRI, sha512). */
export const lockedIntegrity = (): ReadonlyMap<string, string> => {
  const { packages }: Lockfile = parse(readFileSync(join(root, 'pnpm-lock.yaml'), 'utf8'));
  return new Map(
    Object.entries(packages).flatMap(([name, { resolution }]) =>
      resolution?.integrity ? [[name, resolution.integrity] as const] : [],
    ),
  );
};

const purlOf = ({ name, version }: NpmPackage): string => `pkg:npm/${name.replace('@', '%40')}@${version}`;

const hex = (integrity: string): string =>
  Buffer.from(integrity.replace(/^sha512-/, ''), 'base64').toString('hex');

const licensesOf = ({ license }: NpmPackage): Pick<Component, 'licenses'> => {
  if (license === undefined) return {};
  return { licenses: [/^[\w.+-]+$/.test(license) ? { license: { id: license } } : { expression: license }] };
};

const componentOf = (one: NpmPackage, integrity: ReadonlyMap<string, string>): Component => {
  const [, group, name = one.name] = /^(@[^/]+)\/(.*)$/.exec(one.name) ?? [];
  const locked = integrity.get(`${one.name}@${one.version}`);
  return {
    type: 'library',
    'bom-ref': purlOf(one),
    ...(group ? { group } : {}),
    name,
    version: one.version,
    ...(locked ? { hashes: [{ alg: 'SHA-512', content: hex(locked) }] } : {}),
    ...licensesOf(one),
    purl: purlOf(one),
  };
};

/** What is in an image beside packages. */
export interface Subject {
  readonly service: string;
  readonly version: string;
  /** The version of Node that the image runs on. */
  readonly node: string;
}

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/**
 * The bill of materials of one image: every package that has code in it, with the checksum of the lockfile, and who
 * uses whom. No time and no random number: the same contents give the same bytes.
 */
export const sbomOf = (
  { service, version, node }: Subject,
  { packages, uses }: Contents,
  integrity: ReadonlyMap<string, string>,
): Sbom => {
  const runtime: Component = {
    type: 'platform',
    'bom-ref': `pkg:generic/node@${node}`,
    name: 'node',
    version: node,
    licenses: [{ license: { id: 'MIT' } }],
    purl: `pkg:generic/node@${node}`,
  };
  const subject: Component = {
    type: 'application',
    'bom-ref': `pkg:oci/${service}@${version}`,
    name: `skein/${service}`,
    version,
    licenses: [{ license: { id: 'Apache-2.0' } }],
    purl: `pkg:oci/${service}@${version}`,
  };
  const libraries = new Map<string, Component>();
  const edges = new Map<string, Set<string>>();
  for (const [folder, one] of packages) {
    const ref = purlOf(one);
    libraries.set(ref, componentOf(one, integrity));
    // The same version can lie in several folders, once for each set of peers.
    const known = edges.get(ref) ?? new Set();
    edges.set(ref, known);
    for (const used of uses.get(folder) ?? []) {
      const target = packages.get(used);
      if (target && purlOf(target) !== ref) known.add(purlOf(target));
    }
  }
  const refs = [...libraries.keys()].sort(byText);
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: { component: subject },
    components: [runtime, ...refs.flatMap((ref) => libraries.get(ref) ?? [])],
    dependencies: [
      { ref: subject['bom-ref'], dependsOn: [runtime['bom-ref'], ...refs] },
      ...refs.map((ref) => ({ ref, dependsOn: [...(edges.get(ref) ?? [])].sort(byText) })),
    ],
  };
};
