import { fork } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { testCluster } from '@skein/postgres/testing';
import { bugs } from './bugs.ts';
import type { Done, Task } from './worker.ts';
import type { Outcome } from './world.ts';

/**
 * `npm run simulate -- --seeds 1000` runs the seeds 1 to 1000, a few processes side by side; `--from 5000` begins
 * there, `--minutes 10` stops after that time, `--seed 42` runs that one alone and says all there is to say, `--bugs`
 * looks among the seeds for one that shows each of the bugs of bugs.ts.
 */
const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    minutes: { type: 'string' },
    bugs: { type: 'boolean', default: false },
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
const shown = { violations: 5, characters: 500 };

const from = whole('seed', values.seed ?? values.from, 0);
const count = values.seed === undefined ? whole('seeds', values.seeds, 1) : 1;
const minutes = values.minutes === undefined ? undefined : whole('minutes', values.minutes, 1);
const startedMs = performance.now();
const inTime = () => minutes === undefined || performance.now() - startedMs < minutes * 60_000;

function* everySeed(): Generator<Task> {
  for (let seed = from; seed < from + count && inTime(); seed += 1) yield { seed };
}
const tasks: Iterator<Task> = values.bugs
  ? bugs.map(({ name }): Task => ({ bug: name, from, count }))[Symbol.iterator]()
  : everySeed();

let seeds = 0;
const failed: (number | string)[] = [];
const totals = { mutations: 0, events: 0, sagas: 0, effects: 0, crashes: 0, restores: 0, steps: 0 };

const tell = ({ seed, trace, violations, counts }: Outcome): void => {
  seeds += 1;
  for (const name of Object.keys(totals) as (keyof typeof totals)[]) totals[name] += counts[name];
  if (values.seed !== undefined) say(`seed ${seed}: trace ${trace}, ${JSON.stringify(counts)}`);
  if (violations.length === 0) return;
  failed.push(seed);
  for (const one of violations.slice(0, shown.violations))
    say(`seed ${seed}: ${one.slice(0, shown.characters)}`);
  if (violations.length > shown.violations)
    say(`seed ${seed}: and ${violations.length - shown.violations} more`);
  say(`seed ${seed}: to see it again: npm run simulate -- --seed ${seed}`);
};

const tellBug = (bug: string, outcome: Outcome | undefined): void => {
  if (outcome) say(`${bug}: caught by seed ${outcome.seed}: ${outcome.violations[0]?.slice(0, 160)}`);
  else {
    failed.push(bug);
    say(`${bug}: not caught by ${count} seeds from ${from}`);
  }
};

const cluster = await testCluster();
const worker = fileURLToPath(new URL('worker.ts', import.meta.url));

/** One process with a database of its own, given one task after the other. */
const run = async (): Promise<void> => {
  const child = fork(worker, [], { env: { ...process.env, SIMULATION_CLUSTER: cluster.url } });
  const ended = once(child, 'exit');
  child.on('message', ({ bug, outcome }: Done) => {
    if (bug !== undefined) tellBug(bug, outcome);
    else if (outcome) tell(outcome);
    const { value, done } = tasks.next();
    if (done) child.disconnect();
    else child.send(value);
  });
  const [code] = await ended;
  if (code !== 0) throw new Error(`a process of the simulation ended with ${code}`);
};

try {
  await Promise.all(
    Array.from({ length: Math.min(availableParallelism(), values.bugs ? bugs.length : count) }, run),
  );
  const seconds = Math.round((performance.now() - startedMs) / 1_000);
  const { mutations, events, sagas, effects, crashes, restores, steps } = totals;
  if (values.bugs) say(`${bugs.length - failed.length} of ${bugs.length} bugs caught in ${seconds} s`);
  else
    say(
      `${seeds} seeds from ${from} in ${seconds} s: ${mutations} mutations, ${events} events, ${sagas} sagas, ` +
        `${effects} effects of events, ${crashes} crashes, ${restores} restores, ${steps} steps; ${failed.length} seeds with violations`,
    );
  if (failed.length > 0) process.exitCode = 1;
} finally {
  await cluster.stop();
}
