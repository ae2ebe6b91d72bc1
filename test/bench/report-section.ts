import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A reference page whose sections are written by programs. */
export interface ReportPage {
  readonly file: string;
  /** What is above the sections of a page that does not exist yet. */
  readonly opening: string;
}

const reference = (name: string): string =>
  fileURLToPath(new URL(`../../docs/reference/${name}`, import.meta.url));

const benchmarks: ReportPage = {
  file: reference('benchmarks.md'),
  opening: `# Benchmarks

Each section is written by its script, \`npm run bench -- <name>\`; the numbers are those of the last run. Machines
differ and are noisy: read ratios between peers of one run, and medians with their spread (lowest–highest).
`,
};

/** What rollouts and faults do to clients. */
export const drills: ReportPage = {
  file: reference('rollouts-and-faults.md'),
  opening: `# Rollouts and faults under load

Each section is written by its drill, \`npm run drill -- <name> --write\`, on the cluster that \`KUBECONFIG\` names; the
numbers are those of the last run. What is checked: an acknowledged message is in the log once and where it was said to
be; every device sees every event after its first position once and in order; an answer that was asked for has one good
end; a call is done within its retries.
`,
};

/** What faults on this machine do to clients. */
export const faultPage: ReportPage = {
  file: reference('faults.md'),
  opening: `# Faults on one machine

\`npm run faults -- --minutes 10 --write\` writes this page; the numbers are those of the last run. Processes, components
and network lines of a whole mesh break at random under load. What is checked, over all that WebSocket, SSE, poll and
REST clients saw: an acknowledged write is in the log once and where it was said to be, and every change of a document
counts once; every device sees every event after its first position once and in order, and ends with the documents that
the server has (state hash); every answer and saga comes to one good end; every event has its effect at each consumer
once; a call is done within its retries.
`,
};

/** Replaces what is between \`<!-- name -->\` and \`<!-- /name -->\`, or adds the section at the end. */
export const replaced = (text: string, name: string, section: string): string => {
  const [from, to] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const whole = `${from}\n${section.trim()}\n${to}`;
  const start = text.indexOf(from);
  const end = text.indexOf(to, start);
  if (start < 0 || end < 0) return `${text.trimEnd()}\n\n${whole}\n`;
  return text.slice(0, start) + whole + text.slice(end + to.length);
};

/** Writes one section of a reference page and leaves the others as they are. */
export const writeSection = async (
  name: string,
  section: string,
  { file, opening }: ReportPage = benchmarks,
): Promise<void> => {
  await mkdir(dirname(file), { recursive: true });
  const before = await readFile(file, 'utf8').catch(() => opening);
  await writeFile(file, replaced(before, name, section));
};
