import { randomUUID } from 'node:crypto';
import { inspect, isDeepStrictEqual } from 'node:util';
import type { Database } from '@skein/postgres';
import { createLogger, createMetrics } from '@skein/telemetry';
import type { SagaDefinition } from './definition.ts';
import { type Sagas, sagas } from './orchestrator.ts';
import { type Crash, type CrashingDatabase, crashingDatabase } from './testing/crashing-database.ts';
import { onBadNetworks, type Path, pathsOf } from './testing/paths.ts';

/** A saga to crash, and how to see what it did. */
export interface CrashOptions<Input> {
  /** With the tables of sagas; nobody else may run sagas on it meanwhile. */
  readonly database: Database;
  readonly definition: SagaDefinition<Input>;
  /** An input nobody has used: every run is a saga of its own. */
  readonly input: () => Input | Promise<Input>;
  /**
   * Everything this saga did, counted, and free of ids and times: it is compared with that of a run nobody disturbed.
   * Look it up with the participants, not in what the steps returned.
   */
  readonly observe: (input: Input, sagaId: string) => Promise<unknown>;
}

/** What a crash test saw. The observations are for the caller to check: once is a number only they know. */
export interface CrashReport {
  /** Sagas that were run, crashes among them, and durable points of the longest path. */
  readonly runs: number;
  readonly crashes: number;
  readonly points: number;
  /** What is there when everything went through. */
  readonly done: unknown;
  /** What is left of it by the way it was taken back. */
  readonly compensated: Readonly<Record<string, unknown>>;
}

interface Outcome {
  readonly id: string;
  readonly state: string;
  readonly journal: readonly string[];
  readonly seen: unknown;
}

/** Longest run: the steps of a crash test wait for nothing. */
const runTimeoutMs = 20_000;

const crashes: readonly Crash[] = ['before', 'after', 'paused'];

const silent = () => createLogger({ service: 'crash-test', instance: 'crash-test', level: 'silent' });

const process = (database: Database, definition: SagaDefinition, instance: string): Sagas =>
  sagas({
    database,
    definitions: [definition],
    instance,
    log: silent(),
    metrics: createMetrics(),
    pollMs: 20,
  });

/** Ends the lease of a process that is gone, as time would. */
const expire = (database: Database): Promise<unknown> =>
  database.query(`update saga set due_at = now() where owner = 'first' and due_at is not null`);

/**
 * Runs a saga on every path it can take, and on each kills its process before and after each of its writes, or has it
 * lose its lease there, with a successor to finish the work. Throws a sentence when an end is neither done nor
 * compensated, or what was done differs from a run nobody disturbed.
 */
export const crashEverywhere = async <Input>(options: CrashOptions<Input>): Promise<CrashReport> => {
  const { database, observe } = options;
  let runs = 0;
  let crashed = 0;

  const journalOf = async (of: Sagas, id: string): Promise<string[]> =>
    (await of.inspect(id)).entries.map(({ kind, step }) => `${kind} ${step}`);

  /** One saga by one process that crashes, and by a successor once it has. */
  const run = async (path: Path, at?: number, crash: Crash = 'before') => {
    runs += 1;
    const signal = AbortSignal.timeout(runTimeoutMs);
    const input = await options.input();
    const key = randomUUID();
    const doomed: CrashingDatabase = crashingDatabase(database, { at, crash });
    const first = process(doomed.database, path.definition, 'first');
    const second = process(database, path.definition, 'second');
    const start = async (of: Sagas) => of.startNow(path.definition, input as never, { key });
    const finish = async (of: Sagas): Promise<Outcome> => {
      const { id, settled } = await start(of);
      const { state } = await settled({ signal });
      return { id, state, journal: await journalOf(of, id), seen: await observe(input, id) };
    };
    try {
      await first.run();
      const alone = finish(first);
      // It never answers when its process is killed.
      alone.catch(() => {});
      const survived = await Promise.race([alone.then(() => true), doomed.crashed.then(() => false)]);
      if (survived) return { outcome: await alone, writes: doomed.writes() };
      crashed += 1;
      await second.run();
      await expire(database);
      second.wake();
      const outcome = await finish(second);
      if (crash !== 'paused') return { outcome, writes: doomed.writes() };
      // The first one wakes up and finds that its saga has an end.
      doomed.resume();
      await first.drain?.();
      const after = { ...outcome, journal: await journalOf(second, outcome.id) };
      return { outcome: { ...after, seen: await observe(input, outcome.id) }, writes: doomed.writes() };
    } finally {
      doomed.bury();
      await Promise.all([first.stop(), second.stop()]);
    }
  };

  const compare = (what: string, path: Path, outcome: Outcome, expected: Outcome): void => {
    const told = (value: unknown) => inspect(value, { depth: 6, breakLength: 110 });
    if (outcome.state !== path.endsAs)
      throw new Error(`${path.name}, ${what}: the saga ended ${outcome.state}, not ${path.endsAs}`);
    if (!isDeepStrictEqual(outcome.seen, expected.seen))
      throw new Error(
        `${path.name}, ${what}: what was done is\n${told(outcome.seen)}\nand without it\n${told(expected.seen)}\njournal: ${outcome.journal.join(', ')}`,
      );
  };

  const observed: Record<string, unknown> = {};
  let points = 0;
  for (const path of pathsOf(options.definition as SagaDefinition)) {
    const undisturbed = await run(path);
    compare('undisturbed', path, undisturbed.outcome, undisturbed.outcome);
    observed[path.name] = undisturbed.outcome.seen;
    points = Math.max(points, undisturbed.writes);
    for (let at = 1; at <= undisturbed.writes; at += 1)
      for (const crash of crashes) {
        const { outcome } = await run(path, at, crash);
        const where = `write ${at} of ${undisturbed.writes}`;
        compare(
          crash === 'paused' ? `lease lost at ${where}` : `killed ${crash} ${where}`,
          path,
          outcome,
          undisturbed.outcome,
        );
      }
    for (const bad of onBadNetworks(path)) {
      const { outcome } = await run(bad);
      compare('on a bad network', bad, outcome, undisturbed.outcome);
    }
  }
  const { 'straight through': done, ...compensated } = observed;
  return { runs, crashes: crashed, points, done, compensated };
};
