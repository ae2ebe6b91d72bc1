import { AppError } from '@skein/contracts';
import type { Queryable, Tx } from '@skein/postgres';
import { maxDataBytes, sagaKeepDays } from './schema.ts';
import { stepOfKey } from './step-key.ts';

const claim = {
  name: 'skein_saga_step_claim',
  text: 'insert into saga_step_seen (key, undone_at) values ($1, case when $2 then now() end) on conflict do nothing returning 1',
};
const read = {
  name: 'skein_saga_step_read',
  text: 'select result, undone_at is not null as undone from saga_step_seen where key = $1 for update',
};
const store = {
  name: 'skein_saga_step_store',
  text: 'update saga_step_seen set result = $2 where key = $1',
};
const undo = {
  name: 'skein_saga_step_undo',
  text: 'update saga_step_seen set undone_at = now(), result = null where key = $1',
};

/** Longer than any saga goes on by itself. */
const rememberDays = sagaKeepDays + 30;

interface Seen {
  readonly result: string | null;
  readonly undone: boolean;
}

const seen = async (tx: Tx, key: string): Promise<Seen> => {
  const [row] = await tx.query<Seen>(read, [key]);
  // Pruned between the two statements: the next attempt finds no row.
  if (!row) throw new AppError('conflict');
  return row;
};

/** A step's effect with what it gave: once per key, in the caller's transaction. `key` is that of either direction. */
export interface Participant {
  /**
   * Runs `work` once per key; a repetition gets the stored result and `work` does not run. Two at once: the second
   * waits for the first to commit. `step_undone` when the compensation came first. The result goes through JSON.
   */
  once<T>(tx: Tx, key: string, work: (tx: Tx) => Promise<T>): Promise<T>;
  /**
   * Takes back what `once` did, once: `work` gets its result. When nothing was done it leaves a tombstone that
   * refuses the action if it still comes, and `work` does not run.
   */
  undo<T>(tx: Tx, key: string, work: (result: T, tx: Tx) => Promise<void>): Promise<void>;
  /** Forgets at most `limit` steps seen so long ago that no saga may ask again; returns how many. */
  prune(db: Queryable, limit?: number): Promise<number>;
}

/** The participant's side (see `participantTableSql`): it has no state but the table. */
export const participant: Participant = {
  once: async <T>(tx: Tx, key: string, work: (tx: Tx) => Promise<T>): Promise<T> => {
    const step = stepOfKey(key);
    const fresh = await tx.query(claim, [step, false]);
    if (fresh.length === 0) {
      const { undone, result } = await seen(tx, step);
      if (undone) throw new AppError('step_undone');
      return (result === null ? undefined : JSON.parse(result)) as T;
    }
    const result = await work(tx);
    if (result !== undefined) {
      const text = JSON.stringify(result);
      if (Buffer.byteLength(text) > maxDataBytes)
        throw new Error(
          `bug: the result of ${step} is larger than ${maxDataBytes} bytes; keep it and return its id`,
        );
      await tx.query(store, [step, text]);
    }
    return result;
  },
  undo: async <T>(tx: Tx, key: string, work: (result: T, tx: Tx) => Promise<void>): Promise<void> => {
    const step = stepOfKey(key);
    const nothingDone = await tx.query(claim, [step, true]);
    if (nothingDone.length > 0) return;
    const { undone, result } = await seen(tx, step);
    if (undone) return;
    await work((result === null ? undefined : JSON.parse(result)) as T, tx);
    await tx.query(undo, [step]);
  },
  prune: async (db, limit = 1_000) => {
    const rows = await db.query(
      `delete from saga_step_seen where ctid = any (array(
         select ctid from saga_step_seen where seen_at < now() - make_interval(days => ${rememberDays})
         order by seen_at limit $1))
       returning 1`,
      [limit],
    );
    return rows.length;
  },
};
