import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Contents } from './contents.ts';

const isLicence = (file: string): boolean => /^(licen[cs]e|copying|notice)([.-].*)?$/i.test(file);

const textOf = (folder: string): string =>
  readdirSync(folder)
    .filter(isLicence)
    .sort()
    .map((file) => readFileSync(join(folder, file), 'utf8').trim())
    .join('\n\n');

/**
 * The licence texts of other people's packages, which their licences ask to be passed on: each text once, under the
 * packages that have it. In an order that depends on the contents only.
 */
export const notices = ({ packages }: Contents): string => {
  const titles = new Map<string, Set<string>>();
  for (const one of packages.values()) {
    if (one.own) continue;
    const text = textOf(one.folder);
    const known = titles.get(text) ?? new Set();
    titles.set(text, known.add(`${one.name} ${one.version} (${one.license ?? 'see the text'})`));
  }
  const sections = [...titles].map(([text, names]) => `${[...names].sort().join('\n')}\n\n${text}`);
  return `${sections.sort().join('\n\n----\n\n')}\n`;
};
