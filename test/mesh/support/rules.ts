import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { chart } from './paths.ts';

/** A rule of Prometheus: one that records, or one that alerts. */
export interface Rule {
  readonly record?: string;
  readonly alert?: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Where the rules of the chart are. */
export const rulesFolder = join(chart, 'files', 'rules');

/** The files of rules, with their paths. */
export const ruleFiles = async (): Promise<string[]> =>
  (await readdir(rulesFolder)).sort().map((name) => join(rulesFolder, name));

/** Every rule of the chart. */
export const rules = async (): Promise<Rule[]> => {
  const texts = await Promise.all((await ruleFiles()).map((file) => readFile(file, 'utf8')));
  return texts.flatMap((text) =>
    (parse(text) as { groups: { rules: Rule[] }[] }).groups.flatMap((group) => group.rules),
  );
};

/** The page of an alert: `SkeinNatsAway` is explained in `nats-away.md`. The chart names it in the same way. */
export const pageOf = (alert: string): string =>
  `${alert
    .replace(/^Skein/, '')
    .replaceAll(/[A-Z]/g, (letter, at: number) => `${at === 0 ? '' : '-'}${letter.toLowerCase()}`)}.md`;
