/**
 * Durable sagas of no-op steps: our orchestrator beside DBOS Transact and Restate, each in a process of its own, one
 * loaded at a time, in turns of one run. `BENCH_ROUNDS` and `BENCH_SECONDS` change how long it takes.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fdatasyncSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { testCluster } from '@skein/postgres/testing';
import pg from 'pg';
import { cpuMs, machine } from './measure-process.ts';
import { shown, table } from './measure-stats.ts';
import { writeSection } from './report-section.ts';
import type { Delivered, Order } from './saga-shared.ts';

const rounds = Number(process.env['BENCH_ROUNDS'] ?? 3);
const seconds = Number(process.env['BENCH_SECONDS'] ?? 4);
const warmUpSeconds = 2;
const scenarios: readonly Pick<Order, 'steps' | 'atOnce'>[] = [
  { steps: 1, atOnce: 1 },
  { steps: 5, atOnce: 1 },
  { steps: 5, atOnce: 32 },
  { steps: 5, atOnce: 256 },
];
const names = ['skein', 'dbos', 'restate'] as const;
const labels = { skein: 'skein', dbos: 'DBOS 5.3.0', restate: 'Restate 1.7.12' };

/** One round of one engine. */
interface Round extends Delivered {
  readonly postgresCpuMs: number;
  readonly commits: number;
  readonly walBytes: number;
}

/** What the disk can do: nothing here is faster than this, whoever waits for it. */
const syncsPerSecond = (): number => {
  const file = join(tmpdir(), `skein-bench-sync-${process.pid}`);
  const fd = openSync(file, 'w');
  const block = Buffer.alloc(4_096);
  let count = 0;
  const begun = performance.now();
  while (performance.now() - begun < 1_000) {
    writeSync(fd, block, 0, block.length, 0);
    fdatasyncSync(fd);
    count += 1;
  }
  closeSync(fd);
  rmSync(file);
  return count;
};

const parentOf = (pid: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
};

/** What the children of a process that have ended have used. */
const reapedCpuMs = (pid: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[13]) + Number(fields[14])) * 10;
};

/** CPU of the server and its backends, those that have ended included. */
const serverCpuMs = (postmaster: number): number =>
  readdirSync('/proc')
    .map(Number)
    .filter((pid) => {
      try {
        return pid > 0 && parentOf(pid) === postmaster;
      } catch {
        // It has just ended.
        return false;
      }
    })
    .reduce((sum, pid) => sum + cpuMs(pid), cpuMs(postmaster) + reapedCpuMs(postmaster));

const cluster = await testCluster({ maxConnections: 100 });
const admin = new pg.Client({ connectionString: cluster.url });
await admin.connect();
const [backend] = (await admin.query<{ pid: number }>('select pg_backend_pid() as pid')).rows;
const postmaster = parentOf(backend?.pid ?? 0);
const databaseOf = (name: string) => cluster.url.replace(/^(\w+:\/\/[^/]*\/)[^?]*/, `$1bench_${name}`);

const look = async (name: string) => {
  // Backends tell of their commits once a second at most.
  await pause(1_200);
  const { rows } = await admin.query<{ commits: number; wal: number }>(
    `select xact_commit::float8 as commits, (pg_current_wal_lsn() - '0/0')::float8 as wal
     from pg_stat_database where datname = $1`,
    [`bench_${name}`],
  );
  return { commits: rows[0]?.commits ?? 0, wal: rows[0]?.wal ?? 0, cpu: serverCpuMs(postmaster) };
};

const start = async (name: string): Promise<ChildProcess | undefined> => {
  await admin.query(`create database bench_${name}`);
  const child = fork(
    fileURLToPath(new URL('./saga-engine.ts', import.meta.url)),
    [name, databaseOf(name)],
    // A line of log for each saga would be measured too.
    { env: { ...process.env, RESTATE_LOGGING: 'ERROR' } },
  );
  const ready = await Promise.race([
    once(child, 'message').then(() => true),
    once(child, 'exit').then(() => false),
  ]);
  if (ready) return child;
  console.log(`${name} could not be started here and is left out`);
  return undefined;
};

const measure = async (name: string, child: ChildProcess, order: Order): Promise<Round> => {
  const before = await look(name);
  child.send(order);
  const [delivered] = (await once(child, 'message')) as [Delivered];
  const after = await look(name);
  return {
    ...delivered,
    postgresCpuMs: name === 'restate' ? 0 : after.cpu - before.cpu,
    commits: after.commits - before.commits,
    walBytes: after.wal - before.wal,
  };
};

const children = new Map<string, ChildProcess>();
try {
  const syncsBefore = syncsPerSecond();
  for (const name of names) {
    const child = await start(name);
    if (child) children.set(name, child);
  }
  const found = new Map<string, Round[]>();
  for (const [name, child] of children)
    await measure(name, child, { steps: 5, atOnce: 64, seconds: warmUpSeconds });
  for (let round = 0; round < rounds; round += 1) {
    for (const scenario of scenarios)
      for (const [name, child] of children) {
        const one = await measure(name, child, { ...scenario, seconds });
        const key = `${name} ${scenario.steps} ${scenario.atOnce}`;
        found.set(key, [...(found.get(key) ?? []), one]);
        console.log(`${key}: ${one.perSecond.toFixed(0)}/s, p50 ${one.p50.toFixed(1)} ms`);
      }
  }
  const syncsAfter = syncsPerSecond();
  const rows = scenarios.flatMap(({ steps, atOnce }) =>
    [...children.keys()].map((name) => {
      const all = found.get(`${name} ${steps} ${atOnce}`) ?? [];
      const cell = (of: (round: Round) => number, digits: number) => shown(all.map(of), digits);
      const ofPostgres = (text: string) => (name === 'restate' ? '–' : text);
      return [
        `${steps} × ${atOnce}`,
        labels[name as keyof typeof labels],
        cell((one) => one.perSecond, 0),
        cell((one) => one.p50, 1),
        cell((one) => one.p99, 1),
        cell((one) => (one.cpuMs + one.postgresCpuMs) / one.sagas, 2),
        ofPostgres(cell((one) => one.commits / one.sagas, 2)),
        ofPostgres(cell((one) => one.walBytes / one.sagas / 1_000, 1)),
      ];
    }),
  );
  const report = table([
    [
      'steps × at once',
      'engine',
      'sagas/s',
      'p50 ms',
      'p99 ms',
      'CPU ms a saga',
      'commits a saga',
      'WAL kB a saga',
    ],
    ...rows,
  ]);
  const missing = names.filter((name) => !children.has(name)).map((name) => labels[name]);
  const section = `## Sagas: durable steps

${machine()}, ${new Date().toISOString().slice(0, 10)}. Sagas of no-op steps, each durable before the next, as many at once
as said, a new one when one has ended; ${rounds} rounds of ${seconds} s, the engines in turn, the load in the engine's process,
everything on both cores.
Skein and DBOS share one Postgres 18 with fsync and synchronous_commit on, a database and a pool of 20 each; Restate has
its own store with its default fsync, and each saga crosses HTTP to its server and back to the handler, so it does more a
call. CPU is that of all processes of an engine. The disk managed ${syncsBefore.toLocaleString('en')} fdatasync/s before and
${syncsAfter.toLocaleString('en')} after. Aim: 5,000/s of five steps at 256 at once.${missing.length > 0 ? ` Not measured: ${missing.join(', ')}.` : ''}

${report}

Where they are better: DBOS steps may be any code without a list of steps, and it forks and patches running workflows;
Restate has other languages, and needs no database.`;
  console.log(`\n${section}`);
  await writeSection('saga', section);
} finally {
  for (const child of children.values()) child.disconnect();
  await Promise.all([...children.values()].map((child) => child.exitCode ?? once(child, 'exit')));
  await admin.end();
  await cluster.stop();
}
