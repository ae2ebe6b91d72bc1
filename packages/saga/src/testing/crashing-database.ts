import type { Database, Sql } from '@skein/postgres';

/** What happens to a process at one of its writes. */
export type Crash =
  /** It is killed before the write. */
  | 'before'
  /** It is killed when the write is on disk and it has not heard of that. */
  | 'after'
  /** It stands still before the write for so long that somebody takes its sagas over, and then goes on. */
  | 'paused';

/** The statements that move a saga. Each is a durable point: the process may die on either side of it. */
const writes: ReadonlySet<string> = new Set(['skein_saga_start', 'skein_saga_append', 'skein_saga_defer']);

const isWrite = (sql: Sql): boolean => typeof sql !== 'string' && writes.has(sql.name);

/** The database of a process that is to crash. */
export interface CrashingDatabase {
  readonly database: Database;
  /** Writes so far, the one that crashed included. */
  readonly writes: () => number;
  /** Resolves when the process has crashed. */
  readonly crashed: Promise<void>;
  /** Lets a paused process go on. */
  resume(): void;
  /** Ends what a killed process would wait for for ever, so that its timers can be stopped. */
  bury(): void;
}

/**
 * A database that at write number `at` does to its process what `crash` says. From a kill on nothing it is asked for
 * ever has an effect or an answer, as with a process that is gone. Without `at` it only counts.
 */
export const crashingDatabase = (
  real: Database,
  { at, crash }: { readonly at: number | undefined; readonly crash: Crash },
): CrashingDatabase => {
  let count = 0;
  let dead = false;
  let standing: Promise<void> | undefined;
  const crashed = Promise.withResolvers<void>();
  const resumed = Promise.withResolvers<void>();
  const buried = Promise.withResolvers<never>();
  // Most processes are buried without anybody waiting.
  buried.promise.catch(() => {});

  const die = (): Promise<never> => {
    dead = true;
    crashed.resolve();
    return buried.promise;
  };

  const guarded = async <T>(write: boolean, work: () => Promise<T>): Promise<T> => {
    if (dead) return buried.promise;
    // A process that stands still asks nothing else either.
    await standing;
    if (write) count += 1;
    const here = write && count === at;
    if (here && crash === 'before') return die();
    if (here && crash === 'paused') {
      standing = resumed.promise;
      crashed.resolve();
      await standing;
    }
    const result = await work();
    if (here && crash === 'after') return die();
    // Answers on their way to a process that has died meanwhile.
    return dead ? buried.promise : result;
  };

  return {
    database: {
      ...real,
      id: 'crashing-database',
      query: (sql, params, options) => guarded(isWrite(sql), () => real.query(sql, params, options)),
      transaction: (fn, options) => guarded(true, () => real.transaction(fn, options)),
    },
    writes: () => count,
    crashed: crashed.promise,
    resume: () => resumed.resolve(),
    bury: () => {
      dead = true;
      resumed.resolve();
      buried.reject(new Error('the process was killed'));
    },
  };
};
