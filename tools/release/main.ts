import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { componentPath } from '../../packages/components/src/index.ts';
import { UsageError } from '../images/options.ts';
import { version } from '../images/stage.ts';
import { root, run } from '../run.ts';
import { packageChart } from './chart.ts';
import { type Digests, releaseImages } from './images.ts';
import { help, type ReleaseOptions, readOptions } from './options.ts';
import { forReal, onlyShown } from './outside.ts';
import { publish } from './publish.ts';
import { schemaFaults, schemasFile, versionsOn } from './schemas.ts';
import { changesOf, statedVersions, tagFaults, versionFaults } from './versions.ts';

const folder = join(root, 'dist/release');
const digestsFile = join(folder, 'digests.json');
const changelog = readFileSync(join(root, 'CHANGELOG.md'), 'utf8');

/** What the last release before this one said of its schemas; nothing when there is none. */
const lastSchemas = async (
  tag: string,
): Promise<readonly [string, ReadonlyMap<string, number>] | undefined> => {
  const git = (...args: string[]) => run('git', args);
  const from = tag === '' ? 'HEAD' : `${tag}^`;
  const found = await git('describe', '--tags', '--abbrev=0', '--match', 'v*', from);
  if (found.code !== 0) return undefined;
  const release = found.output.trim();
  const page = await git('show', `${release}:${schemasFile}`);
  return page.code === 0 ? [release, versionsOn(page.output)] : undefined;
};

const check = async ({ tag }: ReleaseOptions): Promise<void> => {
  const before = await lastSchemas(tag);
  const faults = [
    ...versionFaults(statedVersions(root)),
    ...tagFaults(tag, version, changelog),
    ...(before ? schemaFaults(...before) : []),
  ];
  if (faults.length > 0)
    throw new Error(`This cannot be released:\n${faults.map((one) => `  ${one}`).join('\n')}`);
  const beside = before ? `the schemas serve ${before[0]}` : 'there is no release before it';
  process.stdout.write(`check    ${version}: all versions agree, and ${beside}\n`);
};

const knownDigests = (): Digests => JSON.parse(readFileSync(digestsFile, 'utf8'));

const release = async (options: ReleaseOptions): Promise<void> => {
  const { stages, registry, dryRun, tag } = options;
  const outside = dryRun ? onlyShown : forReal;
  mkdirSync(folder, { recursive: true });
  if (stages.includes('check')) await check(options);
  if (stages.includes('images')) {
    const digests = await releaseImages(folder, registry, outside, dryRun);
    writeFileSync(digestsFile, `${JSON.stringify(digests, null, 2)}\n`);
  }
  const chart = join(folder, `skein-${version}.tgz`);
  if (stages.includes('chart')) {
    const made = await packageChart(folder, { registry, digests: knownDigests() });
    process.stdout.write(`chart    ${made}\n`);
  }
  if (stages.includes('publish')) {
    writeFileSync(join(folder, 'notes.md'), `${changesOf(changelog, version) ?? ''}\n`);
    const what = { folder, registry, tag: tag || `v${version}`, digests: knownDigests(), chart };
    await publish({ ...what, helm: await componentPath('helm') }, outside);
  }
};

try {
  const options = readOptions(process.argv.slice(2));
  if (options.help) process.stdout.write(help);
  else await release(options);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
