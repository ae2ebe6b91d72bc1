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
});
