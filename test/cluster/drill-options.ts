import { parseArgs } from 'node:util';
import type { LoadOptions } from '../load/load.ts';

/** What can be done to an installation. */
export const drillNames = ['rollout', 'chaos', 'soak'] as const;

/** One of `drillNames`. */
export type DrillName = (typeof drillNames)[number];

/** What the command line said. */
export interface DrillOptions {
  readonly name: DrillName;
  readonly load: Omit<LoadOptions, 'address'>;
  readonly minutes: number;
  readonly write: boolean;
  readonly json: boolean;
  readonly keep: boolean;
}

/** The command line cannot be used; the message says what would be right. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** What `--help` prints. */
export const help = `npm run drill -- rollout|chaos|soak [options]

Installs Skein in namespaces of its own, with two pods of each service, on the cluster that KUBECONFIG names; puts load
on it, does something to it, and compares what every client saw with what the server kept. The cluster has to have the
images: npm run cluster -- images.
  rollout   upgrades every service, and rolls it back
  chaos     deletes a pod of ours every 10 s, half of them without time to drain; then NATS, Consul and Postgres
  soak      does nothing, and compares the memory and CPU of the middle of the run with those of its end

Options
  --people N     people who write and read [25]
  --devices N    devices of each, connected all the time; 20 at most [20]
  --rate N       messages a second [100]
  --minutes N    how long chaos deletes pods of ours, or a soak is [5]
  --write        write the section of docs/reference/rollouts-and-faults.md
  --json         the whole report as JSON
  --keep         leave it installed, for the next drill
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
  keep: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

const giveUpMs = 60_000;

const positive = (name: string, text: string, most: number): number => {
  const value = Number(text);
  if (value > 0 && value <= most) return value;
  throw new UsageError(`--${name} must be a number above 0, ${most} at most, not ${JSON.stringify(text)}`);
};

const whole = (name: string, text: string, most: number): number => {
  if (Number.isInteger(Number(text))) return positive(name, text, most);
  throw new UsageError(`--${name} must be a whole number, not ${JSON.stringify(text)}`);
};

const parse = (args: readonly string[]) => {
  try {
    return parseArgs({ args: [...args], options: definitions, allowPositionals: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
};

/** Reads the arguments; undefined when help was asked for. UsageError when they cannot be used. */
export const readDrillOptions = (args: readonly string[]): DrillOptions | undefined => {
  const { values, positionals } = parse(args);
  if (values.help) return undefined;
  const name = drillNames.find((one) => one === positionals[0]);
  if (name === undefined || positionals.length !== 1)
    throw new UsageError(`Say which one: ${drillNames.join(' or ')}.`);
  return {
    name,
    load: {
      people: whole('people', values.people, 1_000),
      devices: whole('devices', values.devices, 20),
      messagesPerSecond: positive('rate', values.rate, 1_000),
      ...{ answersPerSecond: 1, callsPerSecond: 10, giveUpMs },
    },
    minutes: positive('minutes', values.minutes, 24 * 60),
    write: values.write,
    json: values.json,
    keep: values.keep,
  };
};
