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
const scenarios = [
  { atOnce: 1, events: 1 },
  { atOnce: 64, events: 1 },
  { atOnce: 256, events: 1 },
  { atOnce: 8, events: 100 },
  { atOnce: 8, events: 1_000 },
] as const;
/** Each writer has a stream of its own. */
const streams = Math.max(...scenarios.map(({ atOnce }) => atOnce));

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
  await admin.query(`create database ${name}`);
  return cluster.url.replace(/^(\w+:\/\/[^/]*\/)[^?]*/, `$1${name}`);
};
const wal = async (): Promise<number> => {
  const { rows } = await admin.query<{ at: number }>(
    `select (pg_current_wal_insert_lsn() - '0/0')::float8 as at`,
  );
  return rows[0]?.at ?? 0;
};

/** Appended by each system so far, to be compared with what is there. */
const appended = new Map<string, number>();

const run = async (system: Appender, atOnce: number, events: number, forMs: number): Promise<Round> => {
  const latencies: number[] = [];
  const [walBefore, cpuBefore] = [await wal(), cpuMs(process.pid)];
  const startedAt = performance.now();
  const lane = async (stream: number) => {
    while (performance.now() - startedAt < forMs) {
      const from = performance.now();
      await system.append(stream, events);
      latencies.push(performance.now() - from);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, (_, stream) => lane(stream)));
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
try {
  for (const [name, start] of [
    ['skein', (url: string) => skein(url, streams)],
    ['plain', plain],
    ['emmett', emmett],
  ] as const) {
    const system = await start(await databaseOf(name));
    if (system) systems.push(system);
  }
  const found = new Map<string, Round[]>();
  for (const system of systems)
    for (const { atOnce, events } of scenarios) await run(system, atOnce, events, 500);
  for (let round = 0; round < rounds; round += 1)
    for (const { atOnce, events } of scenarios)
      for (const system of systems) {
        const one = await run(system, atOnce, events, seconds * 1_000);
        const key = `${system.name} ${atOnce} ${events}`;
        found.set(key, [...(found.get(key) ?? []), one]);
        console.log(
          `  ${key}: ${one.perSecond.toFixed(0)}/s, p50 ${one.p50.toFixed(2)} p99 ${one.p99.toFixed(2)} ms`,
        );
      }
  const missing: string[] = [];
  for (const system of systems) {
    const there = await system.count();
    const due = appended.get(system.name) ?? 0;
    missing.push(`${system.name} ${there.toLocaleString('en')} of ${due.toLocaleString('en')}`);
    if (there !== due) throw new Error(`${system.name} has ${there} events of ${due}`);
  }
  const rows = scenarios.flatMap(({ atOnce, events }) =>
    systems.map(({ name }) => {
      const all = found.get(`${name} ${atOnce} ${events}`) ?? [];
      const cell = (of: (one: Round) => number, digits: number) => shown(all.map(of), digits);
      return [
        `${atOnce} × ${events.toLocaleString('en')}`,
        name,
        cell((one) => one.perSecond, 0),
        cell((one) => one.p50, 2),
        cell((one) => one.p99, 1),
        cell((one) => one.cpuUs, 0),
        cell((one) => one.walBytes, 0),
      ];
    }),
  );
  const section = `## Append: events to streams

${machine()}, ${new Date().toISOString().slice(0, 10)}. Writers at once × events an append, each writer on a stream of its own and waiting
for each append; texts of 256 B; ${rounds} rounds of ${seconds} s, the systems in turn on one Postgres 18 with fsync and
synchronous_commit on, everything on both cores. Ours is the path of session-sync: the head is read, the command decided,
its events encoded as public ones, the guard checked; three indexes. Plain \`pg\` has one index, knows the next offset by
itself and sends a list as one statement: it is what the database can do. Durable at the end, counted in the tables:
${missing.join(', ')}.

${table([
  [
    'writers × events',
    'system',
    'events/s',
    'append p50 ms',
    'append p99 ms',
    'CPU µs an event, client',
    'WAL bytes an event',
  ],
  ...rows,
])}`;
  console.log(`\n${section}`);
  await writeSection('append', section);
} finally {
  for (const system of systems) await system.close();
  await admin.end();
  await cluster.stop();
}
