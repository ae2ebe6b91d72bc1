import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { helm, objectsOf, renderProfile } from './support/helm.ts';
import { chart, golden, type Profile, profiles, profileValues } from './support/paths.ts';

const rendered = new Map<Profile, string>();
const textOf = (profile: Profile): string => rendered.get(profile) ?? '';

beforeAll(async () => {
  for (const profile of profiles) rendered.set(profile, await renderProfile(profile));
});

describe('the chart', () => {
  it.each(profiles)('passes the strict linter with the profile %s', async (profile) => {
    const result = await helm('lint', '--strict', chart, '--values', profileValues(profile));
    expect(result, result.output).toMatchObject({ ok: true });
  });

  it.each(profiles)('renders %s as it did; if meant otherwise: node test/mesh/update.ts', async (profile) => {
    expect(textOf(profile)).toBe(await readFile(golden(profile), 'utf8'));
  });

  it('renders the same twice: nothing is random and nothing depends on the time', async () => {
    expect(await renderProfile('istio')).toBe(textOf('istio'));
  });

  it.each(profiles)('gives every object of %s a name of its own, the namespace and the labels', (profile) => {
    const objects = objectsOf(textOf(profile)).filter(({ metadata }) => metadata.name !== 'skein-extra');
    const ids = objects.map(({ kind, metadata, apiVersion }) => `${apiVersion} ${kind} ${metadata.name}`);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { metadata } of objects) {
      expect(metadata.namespace).toBe('skein');
      expect(metadata.labels).toMatchObject({
        'app.kubernetes.io/instance': 'skein',
        'app.kubernetes.io/part-of': 'skein',
      });
    }
  });

  it('is installed twice in one namespace without meeting itself', async () => {
    const named = async (release: string) => {
      const { output } = await helm(
        ...['template', release, chart, '--namespace', 'skein', '--values', profileValues('istio')],
      );
      return objectsOf(output).map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    };
    const [one, two] = await Promise.all([named('one'), named('two')]);
    expect(one).toHaveLength(two?.length ?? 0);
    expect(one?.filter((id) => two?.includes(id))).toEqual([]);
  });

  it('makes names that Kubernetes takes, of any name that Helm takes', async () => {
    const release = `release.${'x'.repeat(45)}`;
    const { output } = await helm('template', release, chart, '--values', profileValues('istio'));
    const names = objectsOf(output).map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    expect(names.length).toBeGreaterThan(20);
    // Names of Services and Jobs become labels; the others may be longer, and all are without dots.
    const right =
      /^((Service|Job) [a-z][-a-z0-9]{0,61}[a-z0-9]|(?!Service |Job )\w+ [a-z][-a-z0-9]{0,251}[a-z0-9])$/;
    expect(names.filter((name) => !right.test(name))).toEqual([]);
  });
});
