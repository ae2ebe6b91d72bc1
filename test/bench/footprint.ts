/**
 * What `npm start` costs: time to ready and memory of all processes at rest, embedded and with `--mesh`. Memory is
 * PSS, which counts what processes share once over all of them.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Launched, type Place, place } from '../e2e/support/launcher.ts';
import { machine } from './measure-process.ts';
import { shown, table } from './measure-stats.ts';
import { writeSection } from './report-section.ts';

const warmStarts = Number(process.env['BENCH_ROUNDS'] ?? 5);
/** What starting has left behind is collected, relays and leases have settled. */
const restMs = 15_000;

const readySeconds = async (launched: Launched): Promise<number> => {
  const [, seconds] = await launched.line(/^Skein is ready after ([\d.]+) s/);
  return Number(seconds);
};

const stop = async (launched: Launched): Promise<void> => {
  launched.signal('SIGINT');
  const how = await launched.ended;
  if (how !== 0) throw new Error(`the launcher ended with ${how}:\n${launched.lines.join('\n')}`);
};

const pssMib = (pid: number): number =>
  Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]) / 1024;

/** Which row of the table a process counts in. */
const partOf = (command: string): string => {
  const known = /skein-(launcher|gateway|auth|user|session-sync|agent)|nats-server|consul|postgres/.exec(
    command,
  );
  return known?.[1] ?? known?.[0] ?? 'watches';
};

const memory = (at: Place): Map<string, number> => {
  const parts = new Map<string, number>();
  for (const { pid, command } of at.processes()) {
    const part = partOf(command);
    parts.set(part, (parts.get(part) ?? 0) + pssMib(pid));
  }
  return parts;
};

interface Footprint {
  readonly firstSeconds: number;
  readonly warmSeconds: readonly number[];
  readonly parts: ReadonlyMap<string, number>;
}

const measure = async (args: readonly string[]): Promise<Footprint> => {
  await using at = await place();
  // As `npm start` does; here in a place that is empty at first.
  const env = { NODE_COMPILE_CACHE: join(at.dataDir, 'compiled') };
  const first = at.start(args, env);
  const firstSeconds = await readySeconds(first);
  await stop(first);
  const warmSeconds: number[] = [];
  for (let round = 0; round < warmStarts; round += 1) {
    const warm = at.start(args, env);
    warmSeconds.push(await readySeconds(warm));
    if (round < warmStarts - 1) await stop(warm);
    else {
      await delay(restMs);
      const parts = memory(at);
      await stop(warm);
      return { firstSeconds, warmSeconds, parts };
    }
  }
  throw new Error('BENCH_ROUNDS must be at least 1');
};

const total = ({ parts }: Footprint): number => [...parts.values()].reduce((sum, one) => sum + one, 0);

const embedded = await measure([]);
const mesh = await measure(['--mesh']);
const names = [...new Set([...embedded.parts.keys(), ...mesh.parts.keys()])].sort();
const mib = (value: number | undefined) => (value === undefined ? '–' : value.toFixed(0));

const section = `
## Footprint of \`npm start\`

All processes of one machine, at rest, nobody connected. A first start makes the database and compiles everything;
a warm one finds both. Aims: warm under 5 s, under 600 MB.

${table([
  ['', '`npm start`', '`npm start -- --mesh` (two instances of each, Consul, NATS)'],
  ['ready after a first start, s', embedded.firstSeconds.toFixed(1), mesh.firstSeconds.toFixed(1)],
  ['ready after a warm start, s', shown(embedded.warmSeconds, 1), shown(mesh.warmSeconds, 1)],
  ['memory, MiB PSS', `**${mib(total(embedded))}**`, mib(total(mesh))],
  ...names.map((name) => [`– ${name}`, mib(embedded.parts.get(name)), mib(mesh.parts.get(name))]),
])}

${machine()}
`;
process.stdout.write(section);
await writeSection('footprint', section);
