import { percentile, table } from '../bench/measure-stats.ts';
import type { LoadOptions } from '../load/load.ts';
import type { Summary } from '../load/summary.ts';
import { sum } from '../load/summary.ts';
import type { ChaosReport, Effect } from './chaos.ts';
import type { RolloutReport } from './rollout.ts';
import type { SoakReport } from './soak.ts';
import { loadInWords } from './support/loaded-stack.ts';
import type { ContainerUsage } from './support/usage.ts';

type Load = Omit<LoadOptions, 'address'>;

const seconds = (ms: number): string =>
  Number.isFinite(ms) ? `${(ms / 1_000).toFixed(1)} s` : 'never in this run';

const today = (): string => new Date().toISOString().slice(0, 10);

/** What must be zero, and what there was. */
const promises = ({ faults, acknowledgedWrites, deliveries, sockets, calls }: Summary): string => {
  const all = Object.values(calls);
  const of = (pick: (one: (typeof all)[number]) => number) =>
    all.reduce((total, one) => total + pick(one), 0);
  return table([
    ['what', 'count'],
    ['acknowledged messages', acknowledgedWrites.toLocaleString('en')],
    ['of them lost', String(faults.lost)],
    ['events delivered to devices', deliveries.toLocaleString('en')],
    [
      'missed, doubled or different at a device',
      String(faults.gap + faults.doubled + faults.different + faults.behind),
    ],
    ['calls', of(({ calls: count }) => count).toLocaleString('en')],
    ['failed for good', String(faults.failed)],
    [
      'first try failed, done by a later one',
      String(of(({ firstTryFailed }) => firstTryFailed) - faults.failed),
    ],
    ['answers without exactly one good end', String(faults.unanswered)],
    ['times a socket was without a connection', String(sum(sockets.outages))],
    ['most of them at one socket', String(sockets.mostAtOne)],
    ['attempts to connect again that failed', String(sum(sockets.failedAttempts))],
    ['sockets that did not come back, or started over', String(faults.ended + sockets.snapshots)],
  ]);
};

/** The section of a rollout. */
export const rolloutSection = ({ summary, stages }: RolloutReport, load: Load, on: string): string => {
  const { sockets } = summary;
  return [
    '## Rollout: every service upgraded and rolled back',
    `${on}, ${today()}. ${loadInWords(load)}. Two pods of each service; an annotation changes, so all ten pods are replaced, and again by \`helm rollback\`: ${stages.map(({ name, seconds: took, replaced }) => `${name} ${took.toFixed(0)} s, ${replaced} pods`).join('; ')}. Load and cluster share the machine.`,
    promises(summary),
    `A socket whose gateway leaves is closed with 4012 and told to wait up to 5 s, so that they do not all come back at once; with that wait it is back after ${seconds(sockets.backP50Ms)} (half of them), ${seconds(sockets.backP99Ms)} (99 %), ${seconds(sockets.backLongestMs)} (all). All new gateways start before the first old one leaves, so that a socket moves once in each of the two rollouts.`,
  ].join('\n\n');
};

const rowOf = (name: string, some: readonly Effect[]): string[] => {
  const worst = (pick: (one: Effect) => number) => {
    const all = some.map(pick);
    return `${seconds(percentile(all, 0.5))} / ${seconds(Math.max(0, ...all))}`;
  };
  return [
    name,
    String(some.length),
    worst(({ replacedMs = Number.POSITIVE_INFINITY }) => replacedMs),
    some.reduce((total, { repeatedCalls }) => total + repeatedCalls, 0).toLocaleString('en'),
    worst(({ callsWholeMs }) => callsWholeMs),
    some.reduce((total, { cutSockets }) => total + cutSockets, 0).toLocaleString('en'),
    worst(({ socketsWholeMs }) => socketsWholeMs),
  ];
};

/** The section of chaos. */
export const chaosSection = (
  { summary, effects }: ChaosReport,
  load: Load,
  minutes: number,
  on: string,
): string => {
  const groups = Map.groupBy(effects, ({ component, how }) =>
    how === 'killed' ? `${component}, killed` : component,
  );
  const killed = effects.filter(({ how }) => how === 'killed').length;
  const { failed } = summary.faults;
  return [
    '## Chaos: one pod after the other',
    `${on}, ${today()}. ${loadInWords(load)}. Two pods of each service; for ${minutes} min one of them is deleted every 10 s, ${killed} of them without time to drain (killed), of one service after the other; then NATS and Consul, which lose all they keep, and Postgres, one pod each. Load and cluster share the machine.`,
    promises(summary),
    ...(failed > 0
      ? [
          `**Not all held:** ${failed.toLocaleString('en')} calls failed for good, after all their retries; the drill counts that as a fault and exits with 1.`,
        ]
      : []),
    'Times are from the deletion, median / longest of its kind; a call counts towards the deletion before its end, a socket towards the one before it was cut. Replaced: as many pods as before are ready. Whole again: the last call that needed another try was done, the last socket was back, with the wait of up to 5 s that it is told.',
    table([
      [
        'deleted',
        'times',
        'replaced',
        'calls tried again',
        'calls whole again',
        'sockets cut',
        'sockets whole again',
      ],
      ...[...groups].sort(([a], [b]) => a.localeCompare(b)).map(([name, some]) => rowOf(name, some)),
    ]),
  ].join('\n\n');
};

const meanBy = (usage: readonly ContainerUsage[], pick: (one: ContainerUsage) => number) =>
  new Map(
    [...Map.groupBy(usage, ({ container }) => container)].map(([container, some]) => [
      container,
      some.reduce((total, one) => total + pick(one), 0) / some.length,
    ]),
  );

/** The section of a soak. */
export const soakSection = (
  { summary, middle, end }: SoakReport,
  load: Load,
  minutes: number,
  on: string,
): string => {
  const memory = [middle, end].map((usage) => meanBy(usage, ({ workingSetMib }) => workingSetMib));
  const cpu = [middle, end].map((usage) => meanBy(usage, ({ cpuMillicores }) => cpuMillicores));
  const shown = (values: readonly ReadonlyMap<string, number>[], container: string) =>
    values.map((one) => (one.get(container) ?? 0).toFixed(0));
  return [
    '## Soak: nothing but load',
    `${on}, ${today()}. ${loadInWords(load)}, for ${minutes} min. Two pods of each service. Mean of a container: its working set after two thirds of the time and at the end, its CPU over the second third and over the last.`,
    promises(summary),
    table([
      ['container', 'MiB', 'MiB at the end', 'CPU m', 'CPU m at the end'],
      ...[...(memory[0]?.keys() ?? [])]
        .sort()
        .map((container) => [container, ...shown(memory, container), ...shown(cpu, container)]),
    ]),
  ].join('\n\n');
};
