/**
 * Appending events to streams, durably: one writer that waits for each, many at once, and in batches; our log beside
 * plain inserts and an event store for the same database, in turns of one run on one server.
 */
import { testCluster } from '@skein/postgres/testing';
import pg from 'pg';
import { type Appender, emmett, plain, skein } from './append-systems.ts';
import { cpuMs, machine } from './measure-process.ts';
import { percentile, shown, table } from './measure-stats.ts';
import { writeSection } from './report-section.ts';

const rounds = Number(process.env['BENCH_ROUNDS'] ?? 5);
const seconds = Number(process.env['BENCH_SECONDS'] ?? 3);

/** So many writers at once, each append of so many events, each writer on a stream of its own or all on one. */
interface Scenario {
  readonly atOnce: number;
  readonly events: number;
  readonly oneStream: boolean;
}

const own = (atOnce: number, events: number): Scenario => ({ atOnce, events, oneStream: false });
const apart: readonly Scenario[] = [own(1, 1), own(64, 1), own(256, 1), own(8, 100), own(8, 1_000)];
const together: Scenario = { atOnce: 64, events: 1, oneStream: true };
const streams = Math.max(...apart.map(({ atOnce }) => atOnce));

interface Round {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  /** Of this process, in which the load runs too. */
  readonly cpuUs: number;
  readonly walBytes: number;
}

const cluster = await testCluster({ maxConnections: 100 });
const admin = new pg.Client({ connectionString: cluster.url });
await admin.connect();
const databaseOf = async (name: string): Promise<string> => {
  await admin.query(`create database bench_${name}`);
  return cluster.url.replace(/^(\w+:\/\/[^/]*\/)[^?]*/, `$1bench_${name}`);
};
const wal = async (): Promise<number> => {
  const { rows } = await admin.query<{ at: number }>(
    `select (pg_current_wal_insert_lsn() - '0/0')::float8 as at`,
  );
  return rows[0]?.at ?? 0;
};

/** Appended by each system so far, to be compared with what is there. */
const appended = new Map<string, number>();

const run = async (
  system: Appender,
  { atOnce, events, oneStream }: Scenario,
  forMs: number,
): Promise<Round> => {
  const latencies: number[] = [];
  const [walBefore, cpuBefore] = [await wal(), cpuMs(process.pid)];
  const startedAt = performance.now();
  const lane = async (writer: number) => {
    while (performance.now() - startedAt < forMs) {
      const from = performance.now();
      await system.append(oneStream ? 0 : writer, events, writer);
      latencies.push(performance.now() - from);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, (_, writer) => lane(writer)));
  const tookMs = performance.now() - startedAt;
  const total = latencies.length * events;
  appended.set(system.name, (appended.get(system.name) ?? 0) + total);
  return {
    perSecond: (total / tookMs) * 1_000,
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
    cpuUs: ((cpuMs(process.pid) - cpuBefore) * 1_000) / total,
    walBytes: ((await wal()) - walBefore) / total,
  };
};

const systems: Appender[] = [];
const opened = async (
  name: string,
  open: (url: string) => Promise<Appender | undefined>,
): Promise<Appender | undefined> => {
  const system = await open(await databaseOf(name));
  if (system) systems.push(system);
  return system;
};

/** Results by scenario and system, the systems in turn. */
const measure = async (scenarios: readonly Scenario[], all: readonly Appender[]): Promise<string[][]> => {
  const found = new Map<string, Round[]>();
  const keyOf = (scenario: Scenario, { name }: Appender) => `${name} ${scenario.atOnce} × ${scenario.events}`;
  for (const system of all) for (const scenario of scenarios) await run(system, scenario, 500);
  for (let round = 0; round < rounds; round += 1)
    for (const scenario of scenarios)
      for (const system of all) {
        const one = await run(system, scenario, seconds * 1_000);
        const key = keyOf(scenario, system);
        found.set(key, [...(found.get(key) ?? []), one]);
        console.log(
          `  ${key}: ${one.perSecond.toFixed(0)}/s, p50 ${one.p50.toFixed(2)} p99 ${one.p99.toFixed(2)} ms`,
        );
      }
  return scenarios.flatMap((scenario) =>
    all.map((system) => {
      const results = found.get(keyOf(scenario, system)) ?? [];
      const cell = (of: (one: Round) => number, digits: number) => shown(results.map(of), digits);
      return [
        `${scenario.atOnce} × ${scenario.events.toLocaleString('en')}`,
        system.name,
        cell((one) => one.perSecond, 0),
        cell((one) => one.p50, 2),
        cell((one) => one.p99, 1),
        cell((one) => one.cpuUs, 0),
        cell((one) => one.walBytes, 0),
      ];
    }),
  );
};

const head = [
  'writers × events',
  'system',
  'events/s',
  'append p50 ms',
  'append p99 ms',
  'CPU µs an event, client',
  'WAL bytes an event',
];

try {
  const ours = await opened('skein', (url) => skein(url, streams));
  const inserts = await opened('plain', plain);
  const store = await opened('emmett', emmett);
  const two = await opened('replicas', (url) => skein(url, 1, 2));
  const some = (...all: (Appender | undefined)[]) => all.filter((one) => one !== undefined);
  const rows = await measure(apart, some(ours, inserts, store));
  // Emmett refuses writers that meet in a stream; its callers would have to try again.
  const contended = await measure([together], some(ours, two));
  const kept: string[] = [];
  for (const system of systems) {
    const there = await system.count();
    const due = appended.get(system.name) ?? 0;
    kept.push(`${system.name} ${there.toLocaleString('en')} of ${due.toLocaleString('en')}`);
    if (there !== due) throw new Error(`${system.name} has ${there} events of ${due}`);
  }
  const section = `## Append: events to streams

${machine()}, ${new Date().toISOString().slice(0, 10)}. Writers at once × events an append, each waiting for its append; texts of 256 B;
${rounds} rounds of ${seconds} s, the systems in turn on one Postgres 18 with fsync and synchronous_commit on, everything on both
cores. Ours is the path of session-sync: the head is read, the command decided, its events encoded as public ones, the
guard checked; three indexes. Plain \`pg\` has one index, knows the next offset by itself and sends a list as one
statement: it is what the database can do. Durable at the end, counted in the tables: ${kept.join(', ')}.
Aim: 50,000/s in batches, one writer below 3 ms.

Each writer on a stream of its own:

${table([head, ...rows])}

All writers on one stream; replicas share nothing but the database:

${table([head, ...contended])}`;
  console.log(`\n${section}`);
  await writeSection('append', section);
} finally {
  for (const system of systems) await system.close();
  await admin.end();
  await cluster.stop();
}
