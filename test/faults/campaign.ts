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
  /** Everything that is drawn follows from it; what becomes of it does not, processes being real. */
  readonly seed: number;
  readonly load: Omit<LoadOptions, 'address'>;
  /** The next fault, on none of the busy components; undefined: that was all. */
  readonly next: (random: Random, busy: ReadonlySet<string>) => FaultKind | undefined;
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
const excerptLines = 60;

/** Draws a kind by its weight, among those whose component has no fault now. */
export const drawn = (random: Random, kinds: readonly FaultKind[], busy: ReadonlySet<string>): FaultKind => {
  const free = kinds.filter(({ component }) => !busy.has(component));
  let at = random() * free.reduce((sum, { weight }) => sum + weight, 0);
  for (const kind of free) {
    at -= kind.weight;
    if (at < 0) return kind;
  }
  return random.pick(free);
};

/** Puts one fault after the other on the stack, some of them together, until there are no more. */
const injectAll = async (stack: FaultyStack, { seed, next, told }: CampaignOptions): Promise<Injected[]> => {
  const random = seededRandom(seed);
  const done: Injected[] = [];
  const busy = new Set<string>();
  const under = new Set<Promise<void>>();
  for (let kind = next(random, busy); kind; kind = next(random, busy)) {
    const { component, how } = kind;
    busy.add(component);
    const atMs = Date.now();
    told(`${component} ${how}`);
    const work = kind.inject(stack, random).then(() => {
      busy.delete(component);
      done.push({ component, how, atMs, healedMs: Date.now() - atMs });
    });
    under.add(work);
    void work.finally(() => under.delete(work)).catch(() => {});
    while (under.size >= atOnce || (under.size > 0 && !random.chance(overlapShare)))
      await Promise.race(under);
    await pause(random.between(200, calmMs));
  }
  await Promise.all(under);
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
