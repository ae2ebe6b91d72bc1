/**
 * 2,000 people with three devices each: one writes, the two others hear of it. Gateway and session-sync share one core;
 * Postgres, the other services and the load have the other one. Beside it, on the same core in turns, a loop over `ws`
 * and Centrifugo, neither of which keeps anything on disk.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { openSenders, type Senders } from './devices-senders.ts';
import { centrifugoDevices, type DevicesSystem, others, relay, skein } from './devices-systems.ts';
import { openReceivers, type Received, type Receivers, receiverProgram } from './fanout-receivers.ts';
import { cores } from './fanout-systems.ts';
import { coreMs, cpuMs, machine, pin, rssKib, watchMemory } from './measure-process.ts';
import { shown, spread, table } from './measure-stats.ts';
import { writeSection } from './report-section.ts';

const people = Number(process.env['BENCH_PEOPLE'] ?? 2_000);
/** Writes a second of all people together. */
const ladder = (process.env['BENCH_LADDER'] ?? '250,500,1000,1500,2000,3000').split(',').map(Number);
const rounds = Number(process.env['BENCH_ROUNDS'] ?? 3);
const stepSeconds = 3;
const textBytes = 256;
/** A step counts below this 99th percentile of what the other devices wait. */
const aimP99Ms = 10;
const hopelessP99Ms = 1_500;
const overloadSeconds = 10;
/** 0 leaves the overload out. */
const stretches = Number(process.env['BENCH_STRETCHES'] ?? 3);
/** What has not come so long after the last text was due is lost. */
const patienceMs = 20_000;
const idleMs = 5_000;
const tickMs = 2;

/** A system with everybody's devices connected. */
interface Ready {
  readonly system: DevicesSystem;
  readonly senders: Senders;
  readonly receivers: Receivers;
  /** Texts of each person so far. */
  readonly counts: number[];
  /** Who writes next. */
  turn: number;
}

interface Step extends Received {
  readonly offered: number;
  readonly achieved: number;
  readonly missing: number;
  readonly refused: readonly string[];
  /** CPU milliseconds of each process for one write. */
  readonly cpu: ReadonlyMap<string, number>;
  readonly coreBusy: number;
  readonly otherCoreBusy: number;
  readonly rssPeakMib: number;
}

const folder = mkdtempSync(join(tmpdir(), 'skein-devices-'));
const program = receiverProgram(folder);

const prepare = async (system: DevicesSystem): Promise<Ready> => {
  const receivers = await openReceivers(program.command, folder, system.dialect, people * others);
  const senders = await openSenders(people, system.speech);
  const ready = { system, senders, receivers, counts: new Array<number>(people).fill(0), turn: 0 };
  await runStep(ready, Math.min(500, ladder[0] ?? 500), 4);
  console.log(`  ${system.name}: ${people * (others + 1)} devices are connected`);
  return ready;
};

/** Writes at a fixed schedule, whatever has become of what was written before, and waits until all of it has arrived. */
const runStep = async (ready: Ready, perSecond: number, seconds: number): Promise<Step> => {
  const { system, senders, receivers, counts } = ready;
  const total = Math.round(perSecond * seconds);
  await receivers.reset();
  senders.progress();
  const pids = [...system.pids];
  const memory = pids.map(([, pid]) => watchMemory(pid));
  const cpuBefore = new Map(pids.map(([name, pid]) => [name, cpuMs(pid)]));
  const busyBefore = [coreMs(cores.server).busyMs, coreMs(cores.rest).busyMs];
  const startNs = process.hrtime.bigint();
  for (let sent = 0; sent < total; ) {
    const due = Math.min(
      total,
      Math.floor((Number(process.hrtime.bigint() - startNs) / 1e9) * perSecond) + 1,
    );
    for (; sent < due; sent += 1) {
      const dueNs = startNs + BigInt(Math.round((sent / perSecond) * 1e9));
      // A stride without a common factor: neighbours in time are not neighbours in the log.
      ready.turn = (ready.turn + 7) % people;
      const person = ready.turn;
      counts[person] = (counts[person] ?? 0) + 1;
      senders.send(person, `TS=${dueNs};N=${counts[person]};`.padEnd(textBytes, 'x'));
    }
    await pause(tickMs);
  }
  const sentMs = Number(process.hrtime.bigint() - startNs) / 1e6;
  const busy = [coreMs(cores.server).busyMs, coreMs(cores.rest).busyMs];
  let tookMs = sentMs;
  let seen = -1;
  let movedAt = performance.now();
  const until = performance.now() + patienceMs;
  for (;;) {
    const { received } = await receivers.progress();
    const now = performance.now();
    if (received !== seen) {
      seen = received;
      movedAt = now;
      tookMs = Number(process.hrtime.bigint() - startNs) / 1e6;
    }
    if (received >= total * others || now > until || now - movedAt > idleMs) break;
    await pause(5);
  }
  const report = await receivers.report(0);
  const { refused } = senders.progress();
  return {
    ...report,
    offered: perSecond,
    achieved: report.received / others / (tookMs / 1_000),
    missing: total * others - report.received,
    refused,
    cpu: new Map(pids.map(([name, pid]) => [name, (cpuMs(pid) - (cpuBefore.get(name) ?? 0)) / total])),
    coreBusy: ((busy[0] ?? 0) - (busyBefore[0] ?? 0)) / sentMs,
    otherCoreBusy: ((busy[1] ?? 0) - (busyBefore[1] ?? 0)) / sentMs,
    rssPeakMib: memory.reduce((sum, ended) => sum + ended() / 1024, 0),
  };
};

const faults = (one: Step): number =>
  one.missing + one.lost + one.duplicated + one.reordered + one.refused.length;

const line = (name: string, one: Step): string =>
  [
    `  ${name.padEnd(16)} ${String(one.offered).padStart(5)}/s → ${one.achieved.toFixed(0).padStart(5)}/s`,
    `p50 ${one.p50.toFixed(1)} p95 ${one.p95.toFixed(1)} p99 ${one.p99.toFixed(1)} max ${one.max.toFixed(0)} ms, decided p50 ${one.decidedP50.toFixed(1)} p99 ${one.decidedP99.toFixed(1)}`,
    `core ${Math.round(one.coreBusy * 100)} %, other ${Math.round(one.otherCoreBusy * 100)} %`,
    [...one.cpu].map(([process, ms]) => `${process} ${ms.toFixed(3)}`).join(' '),
    faults(one) > 0
      ? `missing ${one.missing} lost ${one.lost} twice ${one.duplicated} order ${one.reordered} refused ${one.refused.length} ${one.refused[0] ?? ''}`
      : '',
  ].join('  ');

/** All results of one system: rate → rounds. */
type Results = Map<number, Step[]>;

const climb = async (all: readonly Ready[]): Promise<Map<string, Results>> => {
  const found = new Map<string, Results>(all.map(({ system }) => [system.name, new Map()]));
  for (let round = 0; round < rounds; round += 1) {
    const hopeless = new Set<string>();
    for (const offered of ladder)
      for (const ready of all) {
        const { name } = ready.system;
        if (hopeless.has(name)) continue;
        const one = await runStep(ready, offered, stepSeconds);
        console.log(line(name, one));
        const results = found.get(name);
        results?.set(offered, [...(results.get(offered) ?? []), one]);
        if (one.p99 > hopelessP99Ms) hopeless.add(name);
      }
  }
  return found;
};

const median = (steps: readonly Step[], of: (one: Step) => number): number => spread(steps.map(of)).median;

/** The highest rate up to which every step was without a fault and good enough. */
const highest = (results: Results, good: (steps: readonly Step[]) => boolean): number => {
  let rate = 0;
  for (const [offered, steps] of results) {
    if (steps.length < rounds || steps.some((one) => faults(one) > 0) || !good(steps)) break;
    rate = offered;
  }
  return rate;
};

const ladderTable = (found: ReadonlyMap<string, Results>): string =>
  table([
    [
      'server',
      'writes/s',
      'achieved/s',
      'p50 ms',
      'p95 ms',
      'p99 ms',
      'since decided: p50, p99 ms',
      'its core busy, %',
      'the other, %',
      'CPU µs a write',
      'lost, twice, out of order, refused',
    ],
    ...[...found].flatMap(([name, results]) =>
      [...results].map(([offered, steps]) => {
        const cell = (of: (one: Step) => number, digits: number) => shown(steps.map(of), digits);
        const processes = [...(steps[0]?.cpu.keys() ?? [])];
        const cpu = processes.map((process) => {
          const us = median(steps, (one) => (one.cpu.get(process) ?? 0) * 1_000).toFixed(0);
          return processes.length > 1 ? `${process} ${us}` : us;
        });
        return [
          name,
          offered.toLocaleString('en'),
          cell((one) => one.achieved, 0),
          cell((one) => one.p50, 1),
          cell((one) => one.p95, 1),
          cell((one) => one.p99, 1),
          name === 'skein' ? `${cell((one) => one.decidedP50, 1)}, ${cell((one) => one.decidedP99, 1)}` : '–',
          cell((one) => one.coreBusy * 100, 0),
          cell((one) => one.otherCoreBusy * 100, 0),
          cpu.join(', '),
          String(steps.reduce((sum, one) => sum + faults(one), 0)),
        ];
      }),
    ),
  ]);

pin(process.pid, cores.rest);
const startedAt = performance.now();
const all: Ready[] = [];
const systems: DevicesSystem[] = [];
try {
  console.log(`${people} people × ${others + 1} devices, receivers in ${program.language}`);
  const peers = process.env['BENCH_PEERS'] === 'none' ? [] : [relay, centrifugoDevices];
  for (const start of [() => skein(people), ...peers]) {
    const system = await start();
    if (!system) continue;
    systems.push(system);
    all.push(await prepare(system));
  }
  const found = await climb(all);
  const own = found.get('skein') ?? new Map<number, Step[]>();
  const carried = highest(own, (steps) => median(steps, (one) => one.achieved / one.offered) > 0.95);
  const [first] = all;
  const twice = 2 * Math.max(carried, 1_000);
  const memory: string[] = [];
  const overload: Step[] = [];
  if (first) {
    const before = [...first.system.pids.values()].reduce((sum, pid) => sum + rssKib(pid) / 1024, 0);
    memory.push(`${before.toFixed(0)} MiB before`);
    for (let stretch = 0; stretch < stretches; stretch += 1) {
      const one = await runStep(first, twice, overloadSeconds);
      console.log(line('overload', one));
      overload.push(one);
      memory.push(`at most ${one.rssPeakMib.toFixed(0)} MiB`);
    }
  }
  const summary = [...found].map(([name, results]) => [
    name,
    systems.find((one) => one.name === name)?.kept ?? '',
    highest(results, (steps) => median(steps, (one) => one.p99) < aimP99Ms).toLocaleString('en'),
    highest(results, (steps) => median(steps, (one) => one.achieved / one.offered) > 0.95).toLocaleString(
      'en',
    ),
  ]);
  const section = [
    `## Devices: ${people.toLocaleString('en')} people with three devices each`,
    `${machine()}, ${new Date().toISOString().slice(0, 10)}. One device of each person writes texts of ${textBytes} B (ours: a mutation of a document), the two others hear of them. Gateway and session-sync share core 0; Postgres, the other services, the writers (Node) and the readers (${program.language}) share core 1. ${rounds} rounds of ${stepSeconds} s a step, the servers in turn, all alive all the time. Delay counts from the moment the text was due to be written (open loop) to its arrival at each other device, so it holds all of ours: the way in, the commit, the way out. "Since decided" begins at session-sync, just before the commit. Neither peer keeps anything on disk.`,
    table([
      [
        'server',
        'kept before another device has it',
        `highest rate with p99 < ${aimP99Ms} ms`,
        'highest rate kept up with',
      ],
      ...summary,
    ]),
    ladderTable(found),
    `Overload: ${twice.toLocaleString('en')} writes/s for ${overloadSeconds} s, ${overload.length} times in a row: gateway and session-sync together had ${memory.join(', ')}; ${overload.map((one) => `${one.achieved.toFixed(0)}/s done, ${one.refused.length} refused and sent again, ${one.lost + one.duplicated + one.reordered} lost, twice or out of order, ${Math.max(0, one.missing)} not there ${patienceMs / 1_000} s later`).join('; ')}. What a device cannot send yet waits in it and goes in one frame. Memory grows until the newest events of all spaces fill their bounds (128 MiB in the gateway, 64 MiB in session-sync).`,
  ].join('\n\n');
  console.log(`\n${section}\n\n${Math.round((performance.now() - startedAt) / 1_000)} s in all`);
  await writeSection('devices', section);
} finally {
  for (const { senders, receivers } of all) {
    senders.close();
    receivers.close();
  }
  for (const system of systems) await system.close();
  rmSync(folder, { recursive: true, force: true });
}
