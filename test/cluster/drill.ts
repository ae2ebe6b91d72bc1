// npm run drill: what a rollout, or one fault after the other, does to an installation under load.
import { machine } from '../bench/measure-process.ts';
import { drills as page, writeSection } from '../bench/report-section.ts';
import type { LoadOptions } from '../load/load.ts';
import { printed, type Summary } from '../load/summary.ts';
import { chaos } from './chaos.ts';
import { type DrillName, help, readDrillOptions, UsageError } from './drill-options.ts';
import { chaosSection, rolloutSection, soakSection } from './drill-sections.ts';
import { rollout } from './rollout.ts';
import { soak } from './soak.ts';
import { requireCluster } from './support/cluster.ts';
import { loadedStack } from './support/loaded-stack.ts';
import { ensureInstalled, remove } from './support/stack.ts';

/** What a drill found: its figures, all it knows, and its section. */
interface Result {
  readonly summary: Summary;
  readonly section: string;
  readonly report: object;
}

type Drill = (
  load: Omit<LoadOptions, 'address'>,
  minutes: number,
  told: (line: string) => void,
) => Promise<Result>;

const drills: Readonly<Record<DrillName, Drill>> = {
  rollout: async (load, _, told) => {
    const report = await rollout(loadedStack, load, told);
    return { report, summary: report.summary, section: rolloutSection(report, load, machine()) };
  },
  chaos: async (load, minutes, told) => {
    const report = await chaos(loadedStack, { load, minutes, random: Math.random }, told);
    return { report, summary: report.summary, section: chaosSection(report, load, minutes, machine()) };
  },
  soak: async (load, minutes, told) => {
    const report = await soak(loadedStack, { load, minutes }, told);
    return { report, summary: report.summary, section: soakSection(report, load, minutes, machine()) };
  },
};

const main = async (): Promise<void> => {
  const options = readDrillOptions(process.argv.slice(2));
  if (!options) return void process.stdout.write(help);
  const { name, load, minutes, write, json, keep } = options;
  await requireCluster();
  const told = (line: string) => process.stderr.write(`${name}  ${line}\n`);
  told(`in the namespaces ${loadedStack.namespace} and ${loadedStack.platform}`);
  try {
    await ensureInstalled(loadedStack);
    const { summary, section, report } = await drills[name](load, minutes, told);
    process.stdout.write(
      `${json ? JSON.stringify(report, undefined, 2) : `${section}\n\n${printed(summary)}`}\n`,
    );
    if (write) await writeSection(name, section, page);
    if (Object.values(summary.faults).some((count) => count > 0)) process.exitCode = 1;
  } finally {
    if (!keep) await remove(loadedStack);
  }
};

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  // What is still being tried is of no use to anybody.
  process.exit(error instanceof UsageError ? 64 : 1);
}
