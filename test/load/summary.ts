import { percentile, table } from '../bench/measure-stats.ts';
import { callsOf, type FaultKind, faultKinds, faultsOf } from './check.ts';
import type { Call, History } from './history.ts';

/** How long calls of one kind took, and how they went. */
export interface CallSummary {
  readonly calls: number;
  /** Their bounded retries ended without success. */
  readonly failed: number;
  /** The first try failed; most of them were done by a later one. */
  readonly firstTryFailed: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly longestMs: number;
}

/** What became of the sockets. */
export interface SocketSummary {
  readonly sockets: number;
  /** Times without a connection, by the close code that began them. */
  readonly outages: Readonly<Record<string, number>>;
  /** Most of them at one socket. */
  readonly mostAtOne: number;
  /** Attempts to connect again that failed, by why. */
  readonly failedAttempts: Readonly<Record<string, number>>;
  /** From the close to the next `welcome`; the wait that the server asks for is part of it. */
  readonly backP50Ms: number;
  readonly backP99Ms: number;
  readonly backLongestMs: number;
  /** Resumed by a snapshot instead of the missed events. */
  readonly snapshots: number;
}

/** A history in figures. */
export interface Summary {
  readonly acknowledgedWrites: number;
  readonly deliveries: number;
  /** How many of each; all zero when nothing is wrong. */
  readonly faults: Readonly<Record<FaultKind, number>>;
  /** The first of each kind. */
  readonly examples: readonly string[];
  readonly calls: Readonly<Record<string, CallSummary>>;
  /** Why tries failed, by kind of call and reason. */
  readonly failedTries: Readonly<Record<string, number>>;
  readonly sockets: SocketSummary;
}

const examplesOfAKind = 5;

const counted = (values: Iterable<string>): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
};

const callSummary = (calls: readonly Call[]): CallSummary => {
  const tookMs = calls.map(({ startedMs, endedMs }) => endedMs - startedMs);
  return {
    calls: calls.length,
    failed: calls.filter(({ done }) => !done).length,
    firstTryFailed: calls.filter(({ failures }) => failures.length > 0).length,
    p50Ms: percentile(tookMs, 0.5),
    p99Ms: percentile(tookMs, 0.99),
    longestMs: percentile(tookMs, 1),
  };
};

/** Puts a history into figures. */
export const summaryOf = (history: History): Summary => {
  const calls: readonly Call[] = history.flatMap(callsOf);
  const devices = history.flatMap((person) => person.devices);
  const outages = devices.flatMap((device) => device.outages);
  const backMs = outages.map(({ startedMs, backMs: back = Date.now() }) => back - startedMs);
  const faults = faultsOf(history);
  const byKind = Map.groupBy(calls, ({ kind }) => kind);
  return {
    acknowledgedWrites: history.flatMap(({ writes, documents }) => [
      ...writes.filter((one) => one.acknowledged),
      ...(documents?.additions ?? []).filter((one) => one.done),
      ...(documents?.recordings ?? []).filter((one) => one.acknowledged),
    ]).length,
    deliveries: devices.reduce((sum, { seen }) => sum + seen.length, 0),
    faults: {
      ...(Object.fromEntries(Object.keys(faultKinds).map((kind) => [kind, 0])) as Record<FaultKind, number>),
      ...counted(faults.map(({ kind }) => kind)),
    },
    examples: [...Map.groupBy(faults, ({ kind }) => kind).values()].flatMap((some) =>
      some.slice(0, examplesOfAKind).map(({ kind, detail }) => `${kind}: ${detail}`),
    ),
    calls: Object.fromEntries([...byKind].map(([kind, some]) => [kind, callSummary(some)])),
    failedTries: counted(
      calls.flatMap(({ kind, failures }) => failures.map((failure) => `${kind}: ${failure}`)),
    ),
    sockets: {
      sockets: devices.length,
      outages: counted(outages.map(({ code }) => String(code))),
      mostAtOne: Math.max(0, ...devices.map((device) => device.outages.length)),
      failedAttempts: counted(outages.flatMap(({ failures }) => failures)),
      backP50Ms: percentile(backMs, 0.5),
      backP99Ms: percentile(backMs, 0.99),
      backLongestMs: percentile(backMs, 1),
      snapshots: devices.reduce((sum, { snapshots }) => sum + snapshots, 0),
    },
  };
};

/** All of them together. */
export const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((total, one) => total + one, 0);

const list = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([what, count]) => `${what} ${count}`)
    .join(', ') || 'none';

/** A summary as a Markdown table and the lists behind it. */
export const printed = (summary: Summary): string => {
  const { calls, faults, sockets } = summary;
  const rows = Object.entries(calls).map(([kind, one]) => [
    kind,
    ...[one.calls, one.failed, one.firstTryFailed].map(String),
    ...[one.p50Ms, one.p99Ms, one.longestMs].map((ms) => ms.toFixed(0)),
  ]);
  return [
    `${summary.acknowledgedWrites} acknowledged writes, ${summary.deliveries} deliveries: ${list(faults)}.`,
    table([['call', 'calls', 'failed', 'first try failed', 'p50 ms', 'p99 ms', 'longest ms'], ...rows]),
    `Tries that failed: ${list(summary.failedTries)}.`,
    `${sockets.sockets} sockets: ${sum(sockets.outages)} times without a connection (by close code: ${list(sockets.outages)}), at most ${sockets.mostAtOne} at one socket; failed attempts to come back: ${list(sockets.failedAttempts)}; back after ${sockets.backP50Ms.toFixed(0)} ms (p50), ${sockets.backP99Ms.toFixed(0)} ms (p99), ${sockets.backLongestMs.toFixed(0)} ms (longest); ${sockets.snapshots} snapshots.`,
    ...summary.examples,
  ].join('\n\n');
};
