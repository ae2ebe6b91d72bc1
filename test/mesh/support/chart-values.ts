import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Document, isMap, isScalar, type Node, type Pair, parseDocument } from 'yaml';
import { chart } from './paths.ts';

/** One value of the chart that somebody may set. */
export interface ChartValue {
  /** Such as `image.tag`. */
  readonly path: string;
  readonly fallback: unknown;
  /** The comment above it, on one line; empty when there is none. */
  readonly about: string;
}

/** Maps that are one value: what is in them is Kubernetes' or the services' business. */
const whole = new Set(['defaults.resources', 'defaults.config', 'services', 'metrics.dashboards.labels']);

/** The last paragraph above a key: an earlier one is about the whole file. */
const comment = (node: unknown): string => {
  const above = (isScalar(node) || isMap(node) ? node.commentBefore : undefined) ?? '';
  const [last = ''] = above.split(/\n\s*\n/).slice(-1);
  return last
    .split('\n')
    .map((line) => line.trim())
    .join(' ')
    .trim();
};

const valuesUnder = (document: Document, pair: Pair, parent: string, first: string): ChartValue[] => {
  const path = `${parent}${String(isScalar(pair.key) ? pair.key.value : pair.key)}`;
  const { value } = pair;
  if (isMap(value) && value.items.length > 0 && !whole.has(path)) {
    // The parser gives a comment above the first key of a block to the block.
    return value.items.flatMap((item, i) =>
      valuesUnder(document, item, `${path}.`, i === 0 ? comment(value) : ''),
    );
  }
  const fallback: unknown = (value as Node | null)?.toJS(document) ?? null;
  return [{ path, fallback, about: comment(pair.key) || first }];
};

/** Every value of the chart, in the order of values.yaml. */
export const chartValues = async (): Promise<ChartValue[]> => {
  const document = parseDocument(await readFile(join(chart, 'values.yaml'), 'utf8'));
  if (!isMap(document.contents)) throw new Error('values.yaml is not a map');
  return document.contents.items.flatMap((item) => valuesUnder(document, item, '', ''));
};
