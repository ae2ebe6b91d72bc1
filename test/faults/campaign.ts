import { setTimeout as pause } from 'node:timers/promises';
import { type Fault, faultsOf } from '../load/check.ts';
import { type Disturbance, effectsOf, type Felt } from '../load/effects.ts';
import type { History } from '../load/history.ts';
import { type Load, type LoadOptions, startLoad } from '../load/load.ts';
import { type Summary, summaryOf } from '../load/summary.ts';
import { type Random, seededRandom } from '../simulation/schedule.ts';
import { consumerFaults } from './consumers.ts';
import type { FaultKind } from './kinds.ts';
import type { FaultyStack } from './stack.ts';

/** A fault that was put on a part. */
export interface Injected extends Disturbance {
  /** Until the part was as before. */
  readonly healedMs: number;
}

/** What a campaign does. */
export interface CampaignOptions {
  /** Decides which faults come in which order and how long they last; what they meet is up to real processes. */
  readonly seed: number;
  readonly load: Omit<LoadOptions, 'address'>;
  /** The next fault; undefined: that was all. */
  readonly next: (random: Random) => FaultKind | undefined;
  readonly told: (line: string) => void;
}

/** What a campaign found. */
export interface CampaignReport {
  readonly seed: number;
  readonly seconds: number;
  readonly summary: Summary;
  readonly effects: readonly (Injected & Felt)[];
  /** Promises that were broken, in words; empty when all held. */
  readonly violations: readonly string[];
  /** What the people concerned met, for a violation. */
  readonly excerpt: readonly string[];
}

/** Faults at the same time. */
const atOnce = 2;
/** Mostly a fault comes when the one before is over. */
const overlapShare = 0.3;
const calmMs = 1_500;
/** Seeds are positive 31-bit numbers. */
export const maxSeed = 2 ** 31 - 1;
const excerptLines = 60;

/** Draws a kind by its weight. */
export const drawn = (random: Random, kinds: readonly FaultKind[]): FaultKind => {
  let at = random() * kinds.reduce((sum, { weight }) => sum + weight, 0);
  for (const kind of kinds) {
    at -= kind.weight;
    if (at < 0) return kind;
  }
  return random.pick(kinds);
};

/** Puts one fault after the other on the stack, some of them together, until there are no more. */
const injectAll = async (stack: FaultyStack, { seed, next, told }: CampaignOptions): Promise<Injected[]> => {
  const random = seededRandom(seed);
  const done: Injected[] = [];
  const under = new Map<string, Promise<void>>();
  for (let kind = next(random); kind; kind = next(random)) {
    const { component, how } = kind;
    // All that is drawn is drawn here: what runs beside it must not change what comes next.
    const own = seededRandom(random.between(1, maxSeed));
    const most = random.chance(overlapShare) ? atOnce : 1;
    await pause(random.between(200, calmMs));
    while (under.size >= most || under.has(component)) await Promise.race(under.values());
    const atMs = Date.now();
    told(`${component} ${how}`);
    const work = kind.inject(stack, own).then(() => {
      done.push({ component, how, atMs, healedMs: Date.now() - atMs });
      under.delete(component);
    });
    // Whoever waits next hears of a failure.
    work.catch(() => {});
    under.set(component, work);
  }
  await Promise.all(under.values());
  return done;
};

/** What people met whose history is not as it must be, in order, among the faults of the time. */
const excerptOf = (history: History, faults: readonly Fault[], injected: readonly Injected[]): string[] => {
  const concerned = history.filter(({ id }) => faults.some(({ detail }) => detail.includes(id)));
  const lines = [
    ...injected.map(({ atMs, component, how }) => [atMs, `-- ${component} ${how}`] as const),
    ...(concerned.length > 0 ? concerned : history).flatMap(({ id, writes, calls, devices }) => [
      ...[...writes, ...calls]
        .filter(({ failures }) => failures.length > 0)
        .map(
          ({ startedMs, endedMs, kind, failures, done }) =>
            [
              startedMs,
              `${id} ${kind}: ${done ? 'done' : 'failed'} after ${endedMs - startedMs} ms (${failures.join(', ')})`,
            ] as const,
        ),
      ...devices.flatMap((device) =>
        device.outages.map(
          ({ startedMs, backMs, code, failures }) =>
            [
              startedMs,
              `${id} ${device.id} away by ${code} for ${(backMs ?? Number.NaN) - startedMs} ms (${failures.join(', ')})`,
            ] as const,
        ),
      ),
    ]),
  ].sort(([a], [b]) => a - b);
  return lines
    .slice(-excerptLines)
    .map(([ms, line]) => `${new Date(ms).toISOString().slice(11, 23)} ${line}`);
};

const underLoad = async (stack: FaultyStack, load: Load, options: CampaignOptions) => {
  try {
    const injected = await injectAll(stack, options);
    return { injected, history: await load.end() };
  } catch (error) {
    load.abandon();
    throw error;
  }
};

/** Puts load and faults on a stack, then compares what clients saw, what the server kept and what consumers made of it. */
export const campaign = async (stack: FaultyStack, options: CampaignOptions): Promise<CampaignReport> => {
  const startedMs = Date.now();
  const load = await startLoad({ ...options.load, address: stack.address });
  const { injected, history } = await underLoad(stack, load, options);
  const faults = faultsOf(history);
  const consumers = await consumerFaults(stack.databaseUrl);
  const violations = [...faults.map(({ kind, detail }) => `${kind}: ${detail}`), ...consumers];
  return {
    seed: options.seed,
    seconds: (Date.now() - startedMs) / 1_000,
    summary: summaryOf(history),
    effects: effectsOf(injected, history),
    violations,
    excerpt: violations.length > 0 ? excerptOf(history, faults, injected) : [],
  };
};
