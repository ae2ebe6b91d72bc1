import { AppError } from '@skein/contracts';
import {
  CommitUnknown,
  type Database,
  type Row,
  type Sql,
  type TransactionOptions,
  type Tx,
} from '@skein/postgres';
import type { Faults } from './faults.ts';
import type { Machine } from './machine.ts';
import type { Random, Schedule } from './schedule.ts';

/** What every simulated part stands on. */
export interface Ground {
  readonly schedule: Schedule;
  readonly random: Random;
  readonly faults: Faults;
}

/** The database server all replicas share. */
export interface Disk {
  /** The connection of one process. */
  of(machine: Machine): Database;
  /** The server is away until then. */
  awayUntil(atMs: number): void;
  /** Another server has taken its place: what the old one still had to do is not done. */
  forget(): void;
}

/** Latency of a statement there and back, in ms. */
const latencyMs = { min: 0, max: 4 };
/** How long a process that stands still does so: leases last 10 s, those of sagas 30 s. */
const stallMs = { min: 8_000, max: 16_000 };
const longStallMs = { min: 25_000, max: 45_000 };
const longStalls = 0.2;
/** How much later a server goes on with a statement whose connection broke. */
const lateMs = { min: 1, max: 400 };

const lost = (cause?: unknown) => new AppError('unavailable', 'The connection was lost', { cause });

/**
 * A real Postgres that takes one statement, or one whole transaction, at a time, at moments the schedule decides. What
 * a process has asked for may be lost before or after it was done, or be done later than anybody waits.
 */
export const simulatedDisk = (ground: Ground, database: Database): Disk => {
  const { schedule, random, faults } = ground;
  let backAtMs = 0;
  let server = 0;
  const stalled = new Map<Machine, number>();

  const ask = <T>(machine: Machine, work: () => Promise<T>, transaction: boolean): Promise<T> =>
    new Promise((resolve, reject) => {
      const latency = () => random.between(latencyMs.min, latencyMs.max);
      const answer = (tell: () => void) => {
        schedule.after(latency(), () => {
          if (machine.alive) tell();
        });
      };
      const unknown = () =>
        lost(transaction ? new CommitUnknown('the answer to COMMIT was lost') : undefined);
      const arrive = async (): Promise<unknown> => {
        if (!machine.alive) return;
        const stalledForMs = (stalled.get(machine) ?? 0) - schedule.now();
        if (stalledForMs > 0) return schedule.after(stalledForMs, arrive);
        if (faults.happens('stall')) {
          const { min, max } = random.chance(longStalls) ? longStallMs : stallMs;
          stalled.set(machine, schedule.now() + random.between(min, max));
          return arrive();
        }
        if (schedule.now() < backAtMs || faults.happens('diskBefore')) return answer(() => reject(lost()));
        if (faults.happens('crashBefore')) return machine.kill();
        // A transaction whose connection broke is rolled back: only a single statement can go on alone.
        if (!transaction && faults.happens('diskLate')) {
          answer(() => reject(unknown()));
          const asked = server;
          schedule.after(random.between(lateMs.min, lateMs.max), () =>
            asked === server ? work().catch(() => {}) : undefined,
          );
          return;
        }
        try {
          const result = await work();
          if (faults.happens('crashAfter')) machine.kill();
          else if (faults.happens('diskAfter')) answer(() => reject(unknown()));
          else answer(() => resolve(result));
        } catch (error) {
          answer(() => reject(error));
        }
      };
      schedule.after(latency(), arrive);
    });

  return {
    of: (machine) => ({
      id: `disk of ${machine.name}`,
      run: async () => {},
      stop: async () => {},
      query: <R = Row>(sql: Sql, params?: readonly unknown[]) =>
        ask(machine, () => database.query<R>(sql, params), false),
      // The signal of a caller who leaves would cancel by a connection of its own, at a moment nobody decides.
      transaction: <T>(work: (tx: Tx) => Promise<T>, { signal: _, ...options }: TransactionOptions = {}) =>
        ask(machine, () => database.transaction(work, options), true),
    }),
    awayUntil: (atMs) => {
      backAtMs = atMs;
    },
    forget: () => {
      server += 1;
    },
  };
};
