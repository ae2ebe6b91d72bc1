import { parseArgs } from 'node:util';
import { maxSeed } from './campaign.ts';

/** What the command line said. */
export interface FaultsOptions {
  readonly minutes: number;
  readonly seed: number;
  readonly json: boolean;
  readonly write: boolean;
}

/** The command line cannot be used; the message says what would be right. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** What `--help` prints. */
export const help = `npm run faults -- [options]

Starts a mesh with two replicas of every service on this machine, with real Postgres, NATS and Consul, puts load on it,
and kills, stops and cuts its processes, components and network lines at random. Then compares what every client saw
with what the server kept and what the consumers of events made of it.

Options
  --minutes N   how long faults are injected [1]
  --seed N      draws the same faults again; what they meet is never quite the same [random]
  --write       write docs/reference/faults.md
  --json        the whole report as JSON
  --help        this page

Exit codes: 0, 1 when a promise was broken (the seed and what the people concerned met are printed), 64 wrong command line.
`;

const definitions = {
  minutes: { type: 'string', default: '1' },
  seed: { type: 'string' },
  json: { type: 'boolean', default: false },
  write: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

const numberOf = (name: string, text: string, max: number): number => {
  const value = Number(text);
  if (text.trim() === '' || !(value > 0) || value > max)
    throw new UsageError(`--${name} must be a number above 0, at most ${max}, not "${text}"`);
  return value;
};

/** Reads the command line; undefined when help is asked for. */
export const readFaultsOptions = (args: readonly string[]): FaultsOptions | undefined => {
  let values: ReturnType<typeof parseArgs<{ options: typeof definitions }>>['values'];
  try {
    ({ values } = parseArgs({ args: [...args], options: definitions }));
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  if (values.help) return undefined;
  return {
    minutes: numberOf('minutes', values.minutes, 24 * 60),
    seed:
      values.seed === undefined
        ? Math.ceil(Math.random() * maxSeed)
        : Math.floor(numberOf('seed', values.seed, maxSeed)),
    json: values.json,
    write: values.write,
  };
};
