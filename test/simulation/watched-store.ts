import type { Database, Sql } from '@skein/postgres';
import type { Schedule } from './schedule.ts';
import type { Store } from './store.ts';

const nameOf = (sql: Sql): string => (typeof sql === 'string' ? '' : sql.name);

/** What only the holder of a lease may write: by the fence it has, about the sagas or the relay. */
const sagaWrites = ['skein_saga_append', 'skein_saga_defer'];

/**
 * The store as processes see it: statements see the time of the schedule, to the second, and whoever writes by a lease
 * that is somebody else's is told of.
 */
export const watchedStore = (store: Store, schedule: Schedule, wrong: (text: string) => void): Database => {
  const { database } = store;
  let clockSetMs = 0;
  const timed = <T>(work: () => Promise<T>): Promise<T> => {
    if (schedule.now() - clockSetMs < 1_000) return work();
    clockSetMs = schedule.now();
    return store.setTime(clockSetMs).then(work);
  };
  const watchRelay = async (fence: unknown) => {
    const held = await store.relayFence();
    if (fence !== held) wrong(`lease: fence ${fence} of the relay has noted over fence ${held}`);
  };
  const watchSagas = async (written: readonly string[], [ids, fences]: readonly unknown[]) => {
    const held = await store.sagaFences(written);
    for (const [at, id] of (ids as readonly string[]).entries()) {
      const fence = (fences as readonly number[])[at];
      if (held.has(id) && held.get(id) !== fence)
        wrong(`lease: fence ${fence} of a saga has written over fence ${held.get(id)}`);
    }
  };
  return {
    ...database,
    query: (sql, params = []) =>
      timed(async () => {
        const rows = await database.query<never>(sql, params);
        if (rows.length === 0) return rows;
        const name = nameOf(sql);
        if (name.startsWith('relay-note')) await watchRelay(params[1]);
        if (sagaWrites.some((one) => name.startsWith(one)))
          await watchSagas(
            rows.map(({ id }) => id),
            params,
          );
        return rows;
      }),
    transaction: (work, options) => timed(() => database.transaction(work, options)),
  };
};
