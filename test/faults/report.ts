import { machine } from '../bench/measure-process.ts';
import { percentile, table } from '../bench/measure-stats.ts';
import type { LoadOptions } from '../load/load.ts';
import { sum } from '../load/summary.ts';
import type { CampaignReport } from './campaign.ts';

type Effects = CampaignReport['effects'];

const seconds = (ms: number): string => (Number.isFinite(ms) ? `${(ms / 1_000).toFixed(1)} s` : 'never');

/** Replicas of a service and gateways' lines are of one kind. */
const kindOf = ({ component, how }: Effects[number]): string => `${component.replace(/[.]\d$/, '')}, ${how}`;

const row = (kind: string, some: Effects): string[] => {
  const spread = (pick: (one: Effects[number]) => number) => {
    const all = some.map(pick);
    return `${seconds(percentile(all, 0.5))} / ${seconds(Math.max(0, ...all))}`;
  };
  const total = (pick: (one: Effects[number]) => number) => some.reduce((all, one) => all + pick(one), 0);
  return [
    kind,
    String(some.length),
    spread(({ healedMs }) => healedMs),
    String(total(({ repeatedCalls }) => repeatedCalls)),
    spread(({ callsWholeMs }) => callsWholeMs),
    String(total(({ cutSockets }) => cutSockets)),
    spread(({ socketsWholeMs }) => socketsWholeMs),
  ];
};

const inWords = (load: Omit<LoadOptions, 'address'>): string => {
  const { people, devices, readers = [], messagesPerSecond, answersPerSecond, callsPerSecond } = load;
  const { mutationsPerSecond = 0, recordsPerSecond = 0 } = load;
  return `${people} people, each with ${devices} WebSockets and ${readers.join(' and ')}; a second: ${messagesPerSecond} messages (half over WebSocket, half over REST, ${answersPerSecond} with an answer), ${mutationsPerSecond} changes of a document that all devices of a person change, ${recordsPerSecond} health records (a saga each), ${callsPerSecond} other calls`;
};

/** The section of the page. */
export const section = (report: CampaignReport, load: Omit<LoadOptions, 'address'>): string => {
  const { seed, summary, effects, violations } = report;
  const { faults, acknowledgedWrites, deliveries, calls, sockets } = summary;
  const all = Object.values(calls);
  const of = (pick: (one: (typeof all)[number]) => number) =>
    all.reduce((total, one) => total + pick(one), 0);
  const kinds = [...Map.groupBy(effects, kindOf)].sort(([a], [b]) => a.localeCompare(b));
  return [
    '## A campaign of faults',
    `${machine()}, ${new Date().toISOString().slice(0, 10)}, seed ${seed}. ${inWords(load)}. ${effects.length} faults in ${(report.seconds / 60).toFixed(1)} minutes, up to two at a time.`,
    table([
      ['what', 'count'],
      ['acknowledged writes', acknowledgedWrites.toLocaleString('en')],
      ['lost', String(faults.lost)],
      ['doubled', String(faults.doubled)],
      ['events delivered to devices', deliveries.toLocaleString('en')],
      ['missed, different or late at a device', String(faults.gap + faults.different + faults.behind)],
      ['devices with other documents than the server', String(faults.diverged)],
      ['answers and sagas without one good end', String(faults.unanswered + faults.unfinished)],
      ['calls', of((one) => one.calls).toLocaleString('en')],
      ['failed for good', String(faults.failed)],
      ['first try failed, done by a later one', String(of((one) => one.firstTryFailed) - faults.failed)],
      ['longest call, its later tries included', seconds(Math.max(0, ...all.map((one) => one.longestMs)))],
      ['times a device was without a connection', String(sum(sockets.outages))],
      [
        'for how long, median / 99 % / longest',
        [sockets.backP50Ms, sockets.backP99Ms, sockets.backLongestMs].map(seconds).join(' / '),
      ],
      ['devices that were sent away', String(faults.ended)],
      ['all violations, those of consumers among them', String(violations.length)],
    ]),
    'Times are from the fault, median / longest of its kind. Back: the part was as before. Whole again: the last call that needed another try was done, the last device was connected; both count towards the fault that came last before them.',
    table([
      ['fault', 'times', 'back', 'calls tried again', 'calls whole', 'devices cut', 'devices whole'],
      ...kinds.map(([kind, some]) => row(kind, some)),
    ]),
  ].join('\n\n');
};
