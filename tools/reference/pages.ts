import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { badInputPage } from './bad-input-page.ts';
import { configurationPage } from './configuration-page.ts';
import { errorsPage } from './errors-page.ts';
import { eventSchemaPages, eventsPage } from './events-page.ts';
import { schemasPage } from './schemas-page.ts';

/** The generated pages of the reference: path in the work tree → what makes it. */
export const referencePages: Readonly<Record<string, () => string>> = {
  'docs/reference/bad-input.md': badInputPage,
  'docs/reference/configuration.md': configurationPage,
  'docs/reference/errors.md': errorsPage,
  'docs/reference/events.md': eventsPage,
  ...eventSchemaPages,
  'docs/reference/schemas.md': schemasPage,
};

/** Writes every page under `target`, in the same folders as in the work tree. */
export const writeReferencePages = async (target: string): Promise<void> => {
  for (const [path, make] of Object.entries(referencePages)) {
    await mkdir(dirname(join(target, path)), { recursive: true });
    await writeFile(join(target, path), make());
  }
};

/** The pages under `target` that are missing or not what the code says; empty when all are as they should be. */
export const referenceDrift = async (target: string): Promise<string[]> => {
  const drifted: string[] = [];
  for (const [path, make] of Object.entries(referencePages)) {
    // A page that cannot be read is one that is not there.
    const found = await readFile(join(target, path), 'utf8').catch(() => undefined);
    if (found !== make()) drifted.push(path);
  }
  return drifted;
};
