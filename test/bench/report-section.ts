import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const page = fileURLToPath(new URL('../../docs/reference/benchmarks.md', import.meta.url));

const opening = `# Benchmarks

Each section is written by its script, \`npm run bench -- <name>\`; the numbers are those of the last run. Machines
differ and are noisy: read ratios between peers of one run, and medians with their spread (lowest–highest).
`;

/** Replaces what is between \`<!-- name -->\` and \`<!-- /name -->\`, or adds the section at the end. */
export const replaced = (text: string, name: string, section: string): string => {
  const [from, to] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const whole = `${from}\n${section.trim()}\n${to}`;
  const start = text.indexOf(from);
  const end = text.indexOf(to, start);
  if (start < 0 || end < 0) return `${text.trimEnd()}\n\n${whole}\n`;
  return text.slice(0, start) + whole + text.slice(end + to.length);
};

/** Writes a benchmark's section of the reference page and leaves the others as they are. */
export const writeSection = async (name: string, section: string): Promise<void> => {
  await mkdir(dirname(page), { recursive: true });
  const before = await readFile(page, 'utf8').catch(() => opening);
  await writeFile(page, replaced(before, name, section));
};
