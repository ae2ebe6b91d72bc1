import { AppError } from '@skein/contracts';
import type { Tx } from '@skein/postgres';

/** Most sagas in line for one lock; the next one is `overloaded`. */
export const maxInLine = 100;
/** Most locks of one saga, and the longest name of one. */
const maxLocks = 16;
const maxLockLength = 200;

/** SQL: whether somebody is before this saga in the line for one of its locks. */
export const notFirstInLine = (saga: string): string =>
  `exists (select 1 from saga_lock mine join saga_lock other on other.key = mine.key and other.seq < mine.seq
     where mine.saga_id = ${saga}.id)`;

/** The locks of a saga as they are taken: sorted, each once. A bad one is a bug of its definition. */
export const checkLocks = (saga: string, locks: readonly string[]): readonly string[] => {
  const sorted = [...new Set(locks)].sort();
  if (sorted.length > maxLocks || sorted.some((key) => key === '' || key.length > maxLockLength))
    throw new Error(
      `bug: saga "${saga}" asks for more than ${maxLocks} locks, or one that is not 1 to ${maxLockLength} characters long`,
    );
  return sorted;
};

/**
 * Keeps everybody else out of the lines of these locks until the transaction ends, in one order everywhere. Without
 * it two sagas could each be first in a line the other waits in, and one that joins could miss that the line is empty.
 */
const holdLines = (tx: Tx, keys: readonly string[]): Promise<unknown> =>
  tx.query(
    {
      name: 'skein_saga_hold_lines',
      text: `select pg_advisory_xact_lock(line) from (
               select distinct hashtextextended('skein saga lock ' || key, 0) as line
               from unnest($1::text[]) key order by 1) lines`,
    },
    [keys],
  );

/** Puts a saga in line for its locks; true when it is first everywhere. `conflict` for one that does not wait. */
export const joinLines = async (
  tx: Tx,
  sagaId: string,
  keys: readonly string[],
  onLocked: 'queue' | 'fail',
): Promise<boolean> => {
  if (keys.length === 0) return true;
  await holdLines(tx, keys);
  const lines = await tx.query<{ key: string; length: number }>(
    {
      name: 'skein_saga_lines',
      text: 'select key, count(*)::int as length from saga_lock where key = any($1) group by key',
    },
    [keys],
  );
  const [taken] = lines;
  if (taken && onLocked === 'fail')
    throw new AppError('conflict', `Another operation on ${taken.key} is under way`);
  if (lines.some(({ length }) => length >= maxInLine))
    throw new AppError('overloaded', 'Too many operations wait for the same thing');
  await tx.query(
    {
      name: 'skein_saga_join_lines',
      text: 'insert into saga_lock (key, saga_id) select key, $2 from unnest($1::text[]) key',
    },
    [keys, sagaId],
  );
  return taken === undefined;
};

/** Holds the lines a saga stands in and gives their keys; to be called before its row is touched. */
export const holdLinesOf = async (tx: Tx, sagaId: string): Promise<readonly string[]> => {
  const rows = await tx.query<{ key: string }>(
    { name: 'skein_saga_locks_of', text: 'select key from saga_lock where saga_id = $1 order by key' },
    [sagaId],
  );
  const keys = rows.map(({ key }) => key);
  if (keys.length > 0) await holdLines(tx, keys);
  return keys;
};

/**
 * Takes a saga out of its lines and makes those behind it due; the lines must be held. Also one that is still behind
 * somebody in another line: whoever leaves that one at this moment does not see that this one is left, so neither
 * could tell that the saga is first everywhere. The claim can.
 */
export const leaveLines = async (tx: Tx, sagaId: string, keys: readonly string[]): Promise<void> => {
  if (keys.length === 0) return;
  await tx.query({ name: 'skein_saga_leave', text: 'delete from saga_lock where saga_id = $1' }, [sagaId]);
  await tx.query(
    {
      name: 'skein_saga_next_in_line',
      text: `update saga set due_at = now() where state = 'waiting' and id in (
               select distinct on (key) saga_id from saga_lock where key = any($1) order by key, seq)`,
    },
    [keys],
  );
};
