/**
 * One event to 1,000 sockets of one space: our gateway (every event committed before it is sent) beside a bare `ws`
 * loop and socket.io, which keep nothing, and Centrifugo, which keeps it in memory. The measured server has core 0; the publisher, the receivers and all that
 * stands behind the gateway run on core 1. Steps of the ladder take turns between the systems.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { newPerson } from '../e2e/support/mesh.ts';
import { type Dialect, openReceivers, type Receivers, receiverProgram } from './fanout-receivers.ts';
import { runStep, type StepResult } from './fanout-step.ts';
import { centrifugoFanOut, cores, helloOf, type Ours, ours, peer, type System } from './fanout-systems.ts';
import { machine, pin, rssKib } from './measure-process.ts';
import { percentile, shown, spread, table } from './measure-stats.ts';
import { writeSection } from './report-section.ts';

const sockets = 1_000;
/** Deliveries a second: sockets times events a second. */
const ladder = [20_000, 50_000, 100_000, 150_000, 200_000];
const rounds = Number(process.env['BENCH_ROUNDS'] ?? 3);
const stepSeconds = 2;
const eventBytes = 256;
/** A step counts towards the capacity below this 99th percentile and without a loss. */
const capacityP99Ms = 100;
/** Above it the next step would only tell how long the queue is. */
const hopelessP99Ms = 1_500;
/** Opened first and kept, so that what the code itself takes is not counted among the sockets. */
const firstSockets = 1_000;
const idleSockets = 3_000;
const idlePeople = 30;
const overloadSeconds = 10;
/** Large enough that what a slow reader leaves lying overflows the kernel's buffers and the budget in time. */
const overloadBytes = 1_024;
const slowReaders = 20;

/** A system with the sockets that follow its space. */
interface Ready {
  readonly system: System;
  readonly receivers: Receivers;
  readonly idleKib: number;
}

const folder = mkdtempSync(join(tmpdir(), 'skein-fanout-'));
const program = receiverProgram(folder);

const idleDialect = async (system: System): Promise<Dialect> => {
  if (!('mesh' in system)) return system.dialect;
  const { url } = (system as Ours).mesh;
  const people = await Promise.all(Array.from({ length: idlePeople }, () => newPerson(url)));
  const token = (n: number) => people[n % idlePeople]?.accessToken ?? '';
  return { ...system.dialect, hello: (n) => helloOf(token(n), `idle-${n}`) };
};

/** Learns what further idle sockets cost, then opens those of the ladder and warms up. */
const prepare = async (system: System): Promise<Ready> => {
  const dialect = await idleDialect(system);
  const first = await openReceivers(program.command, folder, dialect, firstSockets);
  await pause(3_000);
  const before = rssKib(system.pid);
  const { hello } = dialect;
  const more = hello ? { ...dialect, hello: (n: number) => hello(n + firstSockets) } : dialect;
  const idle = await openReceivers(program.command, folder, more, idleSockets);
  await pause(3_000);
  const idleKib = (rssKib(system.pid) - before) / idleSockets;
  idle.close();
  first.close();
  const receivers = await openReceivers(program.command, folder, system.dialect, sockets);
  await runStep(system, receivers, sockets, { perSecond: 50, seconds: 2, size: eventBytes });
  console.log(`  ${system.name}: ready, ${idleKib.toFixed(1)} KiB an idle socket`);
  return { system, receivers, idleKib };
};

const line = (system: System, one: StepResult): string =>
  [
    `  ${system.name.padEnd(9)} ${String(one.offered).padStart(6)}/s → ${String(Math.round(one.achieved)).padStart(6)}/s`,
    `p50 ${one.p50.toFixed(1)} p95 ${one.p95.toFixed(1)} p99 ${one.p99.toFixed(1)} ms`,
    `core ${Math.round(one.core.own * 100)} % (others ${Math.round(one.core.others * 100)} %)`,
    `lost ${one.lost} twice ${one.duplicated} out of order ${one.reordered}`,
    one.failed.length > 0 ? `failed ${one.failed.length}: ${one.failed[0]}` : '',
  ].join('  ');

/** All results of one system: step → rounds. */
type Results = Map<number, StepResult[]>;

const climb = async (all: readonly Ready[]): Promise<Map<string, Results>> => {
  const found = new Map<string, Results>(all.map(({ system }) => [system.name, new Map()]));
  for (let round = 0; round < rounds; round += 1) {
    console.log(`round ${round + 1} of ${rounds}`);
    const hopeless = new Set<string>();
    for (const offered of ladder) {
      for (const { system, receivers } of all) {
        if (hopeless.has(system.name)) continue;
        const one = await runStep(system, receivers, sockets, {
          perSecond: offered / sockets,
          seconds: stepSeconds,
          size: eventBytes,
        });
        console.log(line(system, one));
        const results = found.get(system.name);
        results?.set(offered, [...(results.get(offered) ?? []), one]);
        if (one.p99 > hopelessP99Ms) hopeless.add(system.name);
      }
    }
  }
  return found;
};

const faults = (one: StepResult): number => one.lost + one.duplicated + one.reordered + one.failed.length;

/** The highest step that every round passed without a fault and half of them in time. */
const capacityOf = (results: Results): number => {
  let capacity = 0;
  for (const offered of ladder) {
    const steps = results.get(offered) ?? [];
    const passed =
      steps.length === rounds &&
      steps.every((one) => faults(one) === 0) &&
      spread(steps.map((one) => one.p99)).median < capacityP99Ms;
    if (!passed) break;
    capacity = offered;
  }
  return capacity;
};

/** The best median rate of any step, to the thousand. */
const mostOf = (results: Results): number => {
  const medians = [...results.values()].map((steps) => spread(steps.map((one) => one.achieved)).median);
  return Math.round(Math.max(0, ...medians) / 1_000) * 1_000;
};

interface Overload {
  readonly name: string;
  /** The first stretch, and for ours a second one: what does not grow any more is bounded. */
  readonly steps: readonly StepResult[];
  readonly cut: number | undefined;
}

/** Twice the capacity, with some who have stopped reading. */
const overload = async ({ system, receivers }: Ready, offered: number): Promise<Overload> => {
  const connections = async () => ('connections' in system ? (system as Ours).connections() : undefined);
  const before = await connections();
  await receivers.stall(slowReaders);
  const steps: StepResult[] = [];
  for (let stretch = 0; stretch < (before === undefined ? 1 : 2); stretch += 1) {
    const step = await runStep(system, receivers, sockets - slowReaders, {
      perSecond: offered / sockets,
      seconds: overloadSeconds,
      size: overloadBytes,
    });
    console.log(line(system, step));
    steps.push(step);
  }
  const after = await connections();
  const cut = before === undefined || after === undefined ? undefined : before - after;
  return { name: system.name, steps, cut };
};

const mib = (kib: number): string => (kib / 1024).toFixed(0);

const ladderTable = (found: ReadonlyMap<string, Results>): string => {
  const rows = [...found].flatMap(([name, results]) =>
    [...results].map(([offered, steps]) => {
      const of = (value: (one: StepResult) => number) => steps.map(value);
      return [
        name,
        offered.toLocaleString('en') +
          (steps.length < rounds ? ` (${steps.length} of ${rounds} rounds)` : ''),
        shown(
          of((one) => one.achieved / 1_000),
          0,
        ),
        shown(
          of((one) => one.p50),
          1,
        ),
        shown(
          of((one) => one.p95),
          1,
        ),
        shown(
          of((one) => one.p99),
          1,
        ),
        name === 'skein'
          ? `${shown(
              of((one) => one.decidedP50),
              1,
            )}, ${shown(
              of((one) => one.decidedP99),
              1,
            )}`
          : '–',
        shown(
          of((one) => one.core.own * 100),
          0,
        ),
        shown(
          of((one) => one.core.others * 100),
          0,
        ),
        shown(
          of((one) => one.restBusy * 100),
          0,
        ),
        shown(
          of((one) => one.cpuPerMillion),
          1,
        ),
        String(steps.reduce((sum, one) => sum + faults(one), 0)),
      ];
    }),
  );
  return table([
    [
      'server',
      'offered/s',
      'achieved, thousand/s',
      'p50 ms',
      'p95 ms',
      'p99 ms',
      'since decided: p50, p99 ms',
      'server, % of core 0',
      'others on core 0, %',
      'core 1, %',
      'CPU s per million',
      'lost, doubled, out of order, refused',
    ],
    ...rows,
  ]);
};

const summaryTable = (all: readonly Ready[], found: ReadonlyMap<string, Results>): string =>
  table([
    [
      'server',
      'kept before it is sent',
      'capacity/s',
      'most achieved/s',
      'deliveries a second of its CPU, alone / busiest step',
      'bytes a delivery',
      'KiB an idle socket',
      'RSS, highest in the ladder, MiB',
    ],
    ...all.map(({ system, idleKib }) => {
      const results = found.get(system.name) ?? new Map<number, StepResult[]>();
      const steps = [...results.values()].flat();
      const perCpuSecond = (some: readonly StepResult[]) =>
        `${shown(
          some.map((one) => 1e3 / one.cpuPerMillion),
          0,
        )} thousand`;
      const [[, first = []] = []] = results;
      const busiest = [...results].at(-1)?.[1] ?? [];
      return [
        system.name,
        system.kept,
        capacityOf(results).toLocaleString('en'),
        mostOf(results).toLocaleString('en'),
        `${perCpuSecond(first)} / ${perCpuSecond(busiest)}`,
        percentile(
          steps.map((one) => one.bytes / one.received),
          0.5,
        ).toFixed(0),
        idleKib.toFixed(1),
        mib(Math.max(...steps.map((one) => one.rssPeakKib))),
      ];
    }),
  ]);

const overloadTable = (runs: readonly Overload[]): string =>
  table([
    [
      'server',
      'offered/s',
      'achieved/s',
      'p99 ms',
      'RSS before, MiB',
      'highest in each stretch, MiB',
      'slow readers cut',
      'missing at the others 8 s later',
    ],
    ...runs.map(({ name, steps, cut }) => {
      const each = (value: (one: StepResult) => string) => steps.map(value).join(', ');
      return [
        name,
        each((one) => one.offered.toLocaleString('en')),
        each((one) => Math.round(one.achieved).toLocaleString('en')),
        each((one) => one.p99.toFixed(0)),
        mib(steps[0]?.rssBeforeKib ?? 0),
        each((one) => mib(one.rssPeakKib)),
        cut === undefined ? 'none' : `${cut} of ${slowReaders}`,
        each((one) => String(faults(one))),
      ];
    }),
  ]);

pin(process.pid, cores.rest);
const startedAt = performance.now();
const all: Ready[] = [];
try {
  console.log(`fan-out to ${sockets} sockets, receivers in ${program.language}`);
  for (const start of [() => ours(), () => peer('ws'), () => peer('socket.io'), centrifugoFanOut]) {
    const system = await start();
    if (system) all.push(await prepare(system));
  }
  const found = await climb(all);
  const capacity = capacityOf(found.get('skein') ?? new Map());
  // A machine that is busy otherwise gives no capacity; this is overload for every server here.
  const twice = 2 * Math.max(capacity, 200_000);
  console.log(`overload: ${twice} deliveries/s offered, ${slowReaders} sockets stop reading`);
  const runs: Overload[] = [];
  for (const one of all) runs.push(await overload(one, twice));
  const section = [
    '## Fan-out: one event to 1,000 sockets of one space',
    `${machine()}, ${new Date().toISOString().slice(0, 10)}. Texts of ${eventBytes} B, ${rounds} rounds of ${stepSeconds} s a step, the systems in turn, no TLS, no compression. The measured server alone is confined to core 0; publisher, receivers (${program.language}), Postgres and the other four services share core 1. All are alive all the time, one is loaded. Delay counts from the moment the event was due to be sent (open loop) to its arrival, so it holds our commit as well; "since decided" begins at session-sync, just before the commit. Ours frames each text with its event (offset, id, time, actor); the peers send the text alone.`,
    'A step counts towards the capacity when no round lost, doubled or reordered anything and the median p99 is below 100 ms. "Others on core 0" is what else the machine did there: with it, delays grow and the capacity falls, CPU per delivery does not. Events that wait for one another leave in one write, so ours get cheaper the busier it is. A system that was behind by more than 1.5 s was not asked for the higher steps of that round.',
    summaryTable(all, found),
    ladderTable(found),
    `### Overload\n\n${overloadSeconds} s of texts of ${overloadBytes} B at twice the capacity (at least 400,000/s), ${slowReaders} of the ${sockets} sockets stop reading; ours twice in a row, to see whether its memory goes on growing. Our slow readers are cut past 1 MiB (and what the kernel takes, some 4 MiB) and may resume; the peers have no such limit.`,
    overloadTable(runs),
  ].join('\n\n');
  console.log(`\n${section}\n\n${Math.round((performance.now() - startedAt) / 1_000)} s in all`);
  await writeSection('fanout', section);
} finally {
  for (const { system, receivers } of all) {
    receivers.close();
    await system.close();
  }
  rmSync(folder, { recursive: true, force: true });
}
