import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { chartValues } from './support/chart-values.ts';
import { chart } from './support/paths.ts';

const templates = async (): Promise<string> => {
  const folder = join(chart, 'templates');
  const files = await readdir(folder, { recursive: true });
  const texts = files
    .filter((file) => /\.(yaml|tpl|txt)$/.test(file))
    .map((file) => readFile(join(folder, file), 'utf8'));
  return (await Promise.all(texts)).join('\n');
};

/**
 * Whether templates refer to a value: by its whole path, or to a block around it and somewhere to the keys inside.
 * What a service has is reached through its settings, `$s`.
 */
const isUsed = (path: string, source: string): boolean => {
  const all = path.split('.');
  const [roots, keys] =
    all[0] === 'defaults' ? ['[$.]s\\.', all.slice(1)] : ['(?:Values\\.|\\$values\\.|\\$)', all];
  const isMentioned = (count: number) =>
    new RegExp(`${roots}${keys.slice(0, count).join('\\.')}(?![\\w.])`).test(source);
  const areKeys = (rest: readonly string[]) =>
    rest.every((key) => new RegExp(`[.]${key}(?!\\w)|"${key}"`).test(source));
  return keys.some((_, i) => isMentioned(i + 1) && areKeys(keys.slice(i + 1)));
};

describe('the values of the chart', () => {
  it('are all described', async () => {
    const values = await chartValues();
    expect(values.length).toBeGreaterThan(80);
    expect(values.filter(({ about }) => about === '').map(({ path }) => path)).toEqual([]);
  });

  it('are all used by a template', async () => {
    const source = await templates();
    const unused = (await chartValues()).map(({ path }) => path).filter((path) => !isUsed(path, source));
    expect(unused).toEqual([]);
  });

  it('would be missed if a template forgot them', () => {
    const source =
      '{{ .Values.image.tag }} {{ $s.replicas }} {{ include "x" .Values.database }} {{ .block.key }}';
    expect(isUsed('image.tag', source)).toBe(true);
    expect(isUsed('image.digest', source)).toBe(false);
    expect(isUsed('defaults.replicas', source)).toBe(true);
    expect(isUsed('defaults.affinity', source)).toBe(false);
    expect(isUsed('database.key', source)).toBe(true);
    expect(isUsed('database.url', source)).toBe(false);
  });

  it('are no others than the templates use', async () => {
    const known = (await chartValues()).map(({ path }) => path);
    const asked = [...(await templates()).matchAll(/\.Values\.([\w.]+)/g)].map(([, path = '']) => path);
    const unknown = asked.filter(
      (path) =>
        !known.some((one) => one === path || one.startsWith(`${path}.`) || path.startsWith(`${one}.`)),
    );
    expect(unknown).toEqual([]);
  });
});
