import { fork } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { testCluster } from '@skein/postgres/testing';
import type { Outcome } from './world.ts';

/**
 * `npm run simulate -- --seeds 1000` runs the seeds 1 to 1000, a few processes side by side; `--from 5000` begins
 * there, `--minutes 10` stops after that time, `--seed 42` runs that one alone and says all there is to say.
 */
const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    minutes: { type: 'string' },
  },
});

const whole = (name: string, text: string, min: number): number => {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= min && value < 2 ** 32) return value;
  process.stderr.write(`--${name} must be a whole number from ${min}, not "${text}".\n`);
  process.exit(2);
};

const say = (line: string) => process.stdout.write(`${line}\n`);
/** Of a seed with many faults the first ones tell the story. */
const shownViolations = 5;

const first = whole('seed', values.seed ?? values.from, 0);
const count = values.seed === undefined ? whole('seeds', values.seeds, 1) : 1;
const minutes = values.minutes === undefined ? undefined : whole('minutes', values.minutes, 1);
const startedMs = performance.now();
const inTime = () => minutes === undefined || performance.now() - startedMs < minutes * 60_000;

const cluster = await testCluster();
const worker = fileURLToPath(new URL('worker.ts', import.meta.url));
let next = first;
let done = 0;
const failed: number[] = [];
const totals = { mutations: 0, events: 0, crashes: 0, restores: 0, steps: 0 };

const report = (outcome: Outcome): void => {
  done += 1;
  for (const name of Object.keys(totals) as (keyof typeof totals)[]) totals[name] += outcome.counts[name];
  const { seed, trace, violations, counts } = outcome;
  if (values.seed !== undefined) say(`seed ${seed}: trace ${trace}, ${JSON.stringify(counts)}`);
  if (violations.length === 0) return;
  failed.push(seed);
  for (const one of violations.slice(0, shownViolations)) say(`seed ${seed}: ${one.slice(0, 500)}`);
  if (violations.length > shownViolations)
    say(`seed ${seed}: and ${violations.length - shownViolations} more`);
  say(`seed ${seed}: to see it again: npm run simulate -- --seed ${seed}`);
};

/** One process with a database of its own, given seed after seed. */
const run = async (): Promise<void> => {
  const child = fork(worker, [], { env: { ...process.env, SIMULATION_CLUSTER: cluster.url } });
  const ended = once(child, 'exit');
  child.on('message', (message: { readonly outcome?: Outcome }) => {
    if (message.outcome) report(message.outcome);
    if (next < first + count && inTime()) {
      child.send({ seed: next });
      next += 1;
    } else child.disconnect();
  });
  const [code] = await ended;
  if (code !== 0) throw new Error(`a process of the simulation ended with ${code}`);
};

try {
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), count) }, run));
  const seconds = Math.round((performance.now() - startedMs) / 1_000);
  const { mutations, events, crashes, restores, steps } = totals;
  say(
    `${done} seeds from ${first} in ${seconds} s: ${mutations} mutations, ${events} events, ${crashes} crashes, ` +
      `${restores} restores, ${steps} steps; ${failed.length} seeds with violations`,
  );
  if (failed.length > 0) process.exitCode = 1;
} finally {
  await cluster.stop();
}
