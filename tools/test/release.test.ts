import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { componentPath } from '../../packages/components/src/index.ts';
import type { Migration } from '../../packages/postgres/src/index.ts';
import { services, version } from '../images/stage.ts';
import { packageChart } from '../release/chart.ts';
import { readOptions } from '../release/options.ts';
import { checksums, publish } from '../release/publish.ts';
import { schemaFaults, schemas, schemasFile, versionsOn } from '../release/schemas.ts';
import { changesOf, statedVersions, tagFaults, versionFaults } from '../release/versions.ts';
import { root } from '../run.ts';

const folder = mkdtempSync(join(tmpdir(), 'skein-release-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const digest = `sha256:${'a'.repeat(64)}`;
const digests = Object.fromEntries(services.map((service) => [service, digest]));

describe('the check of a release', () => {
  it('finds one version in package.json, in every package, the chart and the compose file', () => {
    const stated = statedVersions(root);
    expect(stated.length).toBeGreaterThan(20);
    expect(versionFaults(stated)).toEqual([]);
    const other = stated.map((one) =>
      one.file.endsWith('(appVersion)') ? { ...one, version: '9.9.9' } : one,
    );
    expect(versionFaults(other)).toEqual([
      `helm/skein/Chart.yaml (appVersion) says 9.9.9, and package.json ${version}: they go together`,
    ]);
  });

  it('wants the tag to be the version, and the changelog to tell of it', () => {
    const changelog =
      '# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2030-01-02\n\n### Added\n- It.\n\n## [1.2.2]\n\n- Old.\n';
    expect(changesOf(changelog, '1.2.3')).toBe('### Added\n- It.');
    expect(tagFaults('v1.2.3', '1.2.3', changelog)).toEqual([]);
    expect(tagFaults('', '1.2.4', changelog)).toEqual([]);
    expect(tagFaults('v1.2.3', '1.2.4', changelog)).toEqual([
      'the tag is v1.2.3, and package.json says 1.2.4: tag v1.2.4',
      'CHANGELOG.md has nothing under [1.2.4]: move there what is under [Unreleased]',
    ]);
  });

  it('reads the schemas of a release from its page of the reference', () => {
    const page = readFileSync(join(root, schemasFile), 'utf8');
    const now = Object.entries(schemas).map(([name, steps]) => [name, steps.length] as const);
    expect(versionsOn(page)).toEqual(new Map(now));
    expect(schemaFaults('v1', new Map(now))).toEqual([]);
  });

  it('refuses steps that do not serve the code of the release before: nobody could roll back', () => {
    const step = (number: number, serves?: number): Migration => ({
      ...{ version: number, name: 'step', sql: '' },
      ...(serves === undefined ? {} : { serves }),
    });
    const before = new Map([['auth', 2]]);
    const faults = (...steps: Migration[]) =>
      schemaFaults('v1.0.0', before, { auth: [step(1), step(2), ...steps] });
    expect(faults(step(3))).toEqual([]);
    expect(faults(step(3), step(4, 2))).toEqual([]);
    expect(faults(step(3), step(4))).toEqual([expect.stringContaining('serve programs from version 3 on')]);
    expect(schemaFaults('v1.0.0', new Map([['auth', 3]]), { auth: [step(1)] })).toEqual([
      expect.stringContaining('steps are never taken back'),
    ]);
    expect(schemaFaults('v1.0.0', new Map(), { auth: [step(1), step(2)] })).toEqual([]);
  });
});

describe('the chart of a release', () => {
  let chart = '';
  beforeAll(async () => {
    chart = await packageChart(folder, { registry: 'registry.example.org/acme', digests });
  }, 60_000);

  const helm = async (...args: string[]): Promise<string> =>
    (await promisify(execFile)(await componentPath('helm'), args, { maxBuffer: 16 * 1024 * 1024 })).stdout;

  it('is a package that Helm takes, under the version of this repository', async () => {
    expect(chart).toBe(join(folder, `skein-${version}.tgz`));
    expect(parse(await helm('show', 'chart', chart))).toMatchObject({ version, appVersion: version });
  });

  it('installs the images of the release by digest, and keeps what values.yaml says of every value', async () => {
    const text = await helm('show', 'values', chart);
    expect(text).toContain('# Registry in front of the repository');
    const values = parse(text);
    expect(values.image.registry).toBe('registry.example.org/acme');
    const rendered = await helm('template', 'skein', chart, '--set', 'existingSecret=skein');
    const images = [...rendered.matchAll(/image: (\S+)/g)].map(([, image]) => image);
    expect(new Set(images)).toEqual(
      new Set(services.map((service) => `registry.example.org/acme/skein/${service}:${version}@${digest}`)),
    );
  });

  it('differs from the chart in nothing else', async () => {
    const here = parse(readFileSync(join(root, 'helm/skein/values.yaml'), 'utf8'));
    const values = parse(await helm('show', 'values', chart));
    for (const service of services) delete values.services[service].image;
    values.image.registry = '';
    expect(values).toEqual(here);
  });
});

describe('what is published', () => {
  it('is signed by digest, images and chart, with a bill of materials for each image', async () => {
    const ran: string[] = [];
    const outside = async (file: string, ...args: readonly string[]) => {
      ran.push([file, ...args].join(' '));
      return args[0] === 'push' ? `Pushed: x\nDigest: ${digest}\n` : '';
    };
    const chart = join(folder, 'chart.tgz');
    for (const file of [chart, ...services.map((service) => join(folder, `${service}.cdx.json`))])
      writeFileSync(file, 'x');
    const where = { folder, registry: 'r.example.org/acme', tag: 'v1.2.3', chart, helm: 'helm' };
    await publish({ ...where, digests }, outside);
    for (const service of services) {
      const image = `r.example.org/acme/skein/${service}@${digest}`;
      expect(ran).toContain(`cosign sign --yes ${image}`);
      expect(ran).toContain(
        `cosign attest --yes --type cyclonedx --predicate ${folder}/${service}.cdx.json ${image}`,
      );
    }
    expect(ran).toContain(`helm push ${chart} oci://r.example.org/acme/charts`);
    expect(ran).toContain(`cosign sign --yes r.example.org/acme/charts/skein@${digest}`);
    expect(ran.at(-1)).toMatch(/^gh release create v1\.2\.3 --verify-tag /);
    const subjects = readFileSync(join(folder, 'subjects.txt'), 'utf8');
    expect(subjects).toContain(`${'a'.repeat(64)}  r.example.org/acme/skein/auth\n`);
    expect(readFileSync(join(folder, 'SHA256SUMS'), 'utf8')).not.toContain('r.example.org');
  });

  it('has checksums as sha256sum writes them', () => {
    const file = join(folder, 'abc');
    writeFileSync(file, 'abc');
    expect(checksums([file])).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  abc\n');
  });
});

describe('npm run release', () => {
  it('means all stages unless it is told otherwise, and keeps their order', () => {
    expect(readOptions(['--registry', 'ghcr.io/acme/'])).toMatchObject({
      stages: ['check', 'images', 'chart', 'publish'],
      registry: 'ghcr.io/acme',
      dryRun: false,
    });
    expect(readOptions(['publish', 'check', '--registry', 'r']).stages).toEqual(['check', 'publish']);
  });

  it('says in a sentence what is missing or not known', () => {
    expect(() => readOptions([])).toThrow('Say where the images go: --registry');
    expect(() => readOptions(['everything'])).toThrow('There is no stage everything; the stages are: check,');
    expect(() => readOptions(['--rgistry', 'x'])).toThrow("'--rgistry'");
  });
});
