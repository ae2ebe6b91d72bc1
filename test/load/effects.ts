import { callsOf } from './check.ts';
import type { History, Outage } from './history.ts';

/** Something that was done to what is under load. */
export interface Disturbance {
  /** To what. */
  readonly component: string;
  readonly how: string;
  readonly atMs: number;
}

/** What clients felt from one disturbance until the next. */
export interface Felt {
  /** Calls that needed more than one try. */
  readonly repeatedCalls: number;
  /** From the disturbance until the last of them was done; zero when there were none. */
  readonly callsWholeMs: number;
  /** Sockets and streams that were closed or broke. */
  readonly cutSockets: number;
  /** From the disturbance until the last of them was back; zero when there were none. */
  readonly socketsWholeMs: number;
}

const lastOf = (times: readonly number[], atMs: number): number =>
  Math.max(0, ...times.map((one) => one - atMs));

/** Puts what clients felt to the disturbance that came last before it. */
export const effectsOf = <D extends Disturbance>(
  disturbances: readonly D[],
  history: History,
): (D & Felt)[] => {
  const sorted = [...disturbances].sort((a, b) => a.atMs - b.atMs);
  const repeated = history.flatMap(callsOf).filter(({ failures }) => failures.length > 0);
  const outages: Outage[] = history.flatMap(({ devices }) => devices.flatMap((one) => one.outages));
  return sorted.map((one, at) => {
    const untilMs = sorted[at + 1]?.atMs ?? Number.POSITIVE_INFINITY;
    const within = (ms: number) => ms >= one.atMs && ms < untilMs;
    // By its end: a call may have been sent a moment before what it met.
    const felt = repeated.filter(({ endedMs }) => within(endedMs));
    const cut = outages.filter(({ startedMs }) => within(startedMs));
    return {
      ...one,
      repeatedCalls: felt.length,
      callsWholeMs: lastOf(
        felt.map(({ endedMs }) => endedMs),
        one.atMs,
      ),
      cutSockets: cut.length,
      socketsWholeMs: lastOf(
        cut.map(({ backMs = Number.POSITIVE_INFINITY }) => backMs),
        one.atMs,
      ),
    };
  });
};
