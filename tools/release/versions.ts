import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

/** A version that a file states. */
export interface StatedVersion {
  readonly file: string;
  readonly version: string;
}

const manifestsIn = (root: string): string[] => [
  'package.json',
  ...['packages', 'services'].flatMap((kind) =>
    readdirSync(join(root, kind))
      .sort()
      .map((name) => `${kind}/${name}/package.json`),
  ),
];

/** Every place under `root` that states the version of the whole: one version covers services, packages and chart. */
export const statedVersions = (root: string): StatedVersion[] => {
  const read = (file: string) => readFileSync(join(root, file), 'utf8');
  const manifests = manifestsIn(root).map((file) => ({
    file,
    version: (JSON.parse(read(file)) as { version: string }).version,
  }));
  const chart: { version: string; appVersion: string } = parse(read('helm/skein/Chart.yaml'));
  const compose = [...read('compose.yaml').matchAll(/\$\{SKEIN_VERSION:-([^}]*)\}/g)];
  return [
    ...manifests,
    { file: 'helm/skein/Chart.yaml (version)', version: chart.version },
    { file: 'helm/skein/Chart.yaml (appVersion)', version: chart.appVersion },
    ...compose.map(([, version = '']) => ({ file: 'compose.yaml', version })),
  ];
};

/** What stands against a release: versions that are not that of package.json. */
export const versionFaults = (stated: readonly StatedVersion[]): string[] => {
  const [first] = stated;
  return stated.flatMap(({ file, version }) =>
    version === first?.version
      ? []
      : [`${file} says ${version}, and ${first?.file} ${first?.version}: they go together`],
  );
};

/** The text of a version's section of the changelog; undefined when it has none. */
export const changesOf = (changelog: string, version: string): string | undefined => {
  const section = changelog.split(/^## /m).find((one) => one.startsWith(`[${version}]`));
  return section?.slice(section.indexOf('\n')).trim() || undefined;
};

/** What stands against releasing `version` as `tag`; empty `tag`: not yet to be released. */
export const tagFaults = (tag: string, version: string, changelog: string): string[] => {
  if (tag === '') return [];
  return [
    ...(tag === `v${version}`
      ? []
      : [`the tag is ${tag}, and package.json says ${version}: tag v${version}`]),
    ...(changesOf(changelog, version)
      ? []
      : [`CHANGELOG.md has nothing under [${version}]: move there what is under [Unreleased]`]),
  ];
};
