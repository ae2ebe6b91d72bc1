// npm run drill: what a rollout, or one fault after the other, does to an installation under load.
import { parseArgs } from 'node:util';
import { machine } from '../bench/measure-process.ts';
import { drills, writeSection } from '../bench/report-section.ts';
import type { LoadOptions } from '../load/load.ts';
import { printed, type Summary } from '../load/summary.ts';
import { chaos } from './chaos.ts';
import { chaosSection, rolloutSection } from './drill-sections.ts';
import { rollout } from './rollout.ts';
import { requireCluster } from './support/cluster.ts';
import { loadedStack } from './support/loaded-stack.ts';
import { ensureInstalled, installChart, plain } from './support/stack.ts';

const help = `npm run drill -- rollout|chaos [options]

Puts load on Skein on the cluster that KUBECONFIG names (installed by npm run cluster -- install), does something to it,
and compares what every client saw with what the server kept. The chart gets two pods of each service for it.
  rollout   upgrades every service, and rolls it back
  chaos     deletes a pod of ours every 10 s, half of them without time to drain; then NATS, Consul and Postgres

Options
  --people N     people who write and read [25]
  --devices N    devices of each, connected all the time; 20 at most [20]
  --rate N       messages a second [100]
  --minutes N    how long chaos deletes pods of ours [5]
  --write        write the section of docs/reference/rollouts-and-faults.md
  --json         the whole report as JSON
  --help         this page

SKEIN_GATEWAY_URL is where the gateway's Service is reached; by default its address inside the cluster.
Exit codes: 0, 1 when a promise was broken, 64 wrong command line.
`;

const definitions = {
  people: { type: 'string', default: '25' },
  devices: { type: 'string', default: '20' },
  rate: { type: 'string', default: '100' },
  minutes: { type: 'string', default: '5' },
  write: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

const giveUpMs = 60_000;

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

const names: Readonly<Record<string, Drill>> = {
  rollout: async (load, _, told) => {
    const report = await rollout(loadedStack, load, told);
    return { report, summary: report.summary, section: rolloutSection(report, load, machine()) };
  },
  chaos: async (load, minutes, told) => {
    const report = await chaos(loadedStack, { load, minutes, random: Math.random }, told);
    return { report, summary: report.summary, section: chaosSection(report, load, minutes, machine()) };
  },
};

class UsageError extends Error {}

const positive = (name: string, text: string, most: number): number => {
  const value = Number(text);
  if (value > 0 && value <= most) return value;
  throw new UsageError(`--${name} must be a number above 0, ${most} at most, not ${JSON.stringify(text)}`);
};

const read = (args: readonly string[]) => {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: definitions,
      allowPositionals: true,
    });
    const [name = ''] = positionals;
    const drill = Object.hasOwn(names, name) && positionals.length === 1 ? names[name] : undefined;
    if (!values.help && !drill) throw new UsageError(`Say which one: ${Object.keys(names).join(' or ')}.`);
    const load = {
      people: positive('people', values.people, 1_000),
      devices: positive('devices', values.devices, 20),
      messagesPerSecond: positive('rate', values.rate, 1_000),
      ...{ answersPerSecond: 1, callsPerSecond: 10, giveUpMs },
    };
    return { ...values, name, drill, load, minutes: positive('minutes', values.minutes, 24 * 60) };
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
};

const main = async (): Promise<void> => {
  const { help: wantsHelp, name, drill, load, minutes, write, json } = read(process.argv.slice(2));
  if (wantsHelp || !drill) return void process.stdout.write(help);
  await requireCluster();
  const told = (line: string) => process.stderr.write(`${name}  ${line}\n`);
  await ensureInstalled(plain);
  told('two pods of each service');
  await installChart(loadedStack);
  try {
    const { summary, section, report } = await drill(load, minutes, told);
    process.stdout.write(
      `${json ? JSON.stringify(report, undefined, 2) : `${section}\n\n${printed(summary)}`}\n`,
    );
    if (write) await writeSection(name, section, drills);
    if (Object.values(summary.faults).some((count) => count > 0)) process.exitCode = 1;
  } finally {
    await installChart(plain);
  }
};

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = error instanceof UsageError ? 64 : 1;
}
