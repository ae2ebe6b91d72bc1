import { AppError } from '@skein/contracts';
import type { Queryable } from '@skein/postgres';
import { readEntries, readSaga, type SagaRow, type StoredEntry, sagaColumns } from './claims.ts';
import { pauseUntil } from './pause.ts';
import { endedKeepDays } from './schema.ts';
import { endStates, type SagaState } from './state.ts';

/** Which sagas are listed, newest first. */
export interface SagaFilter {
  readonly states?: readonly SagaState[] | undefined;
  readonly name?: string | undefined;
  readonly subject?: string | undefined;
  /** Only those before this id: the last one of the page before. */
  readonly before?: string | undefined;
  /** At most 200. */
  readonly limit: number;
}

/** Largest page of a list. */
export const maxPage = 200;

/** Spares a search for live sagas those that have ended, which are many more. */
const onlyLive = (states: SagaFilter['states']): string =>
  states?.every((state) => !endStates.has(state)) ? 'and ended_at is null' : '';

/** Sagas that match, newest first. */
export const listSagas = (db: Queryable, filter: SagaFilter): Promise<SagaRow[]> =>
  db.query<SagaRow>(
    `select ${sagaColumns('s')} from saga s
     where ($1::text[] is null or state = any($1)) and ($2::text is null or name = $2)
       and ($3::text is null or subject = $3) and ($4::uuid is null or id < $4) ${onlyLive(filter.states)}
     order by id desc limit $5`,
    [
      filter.states ?? null,
      filter.name ?? null,
      filter.subject ?? null,
      filter.before ?? null,
      Math.min(Math.max(1, filter.limit), maxPage),
    ],
  );

/** A saga with its journal. */
export interface Inspected {
  readonly row: SagaRow;
  readonly entries: readonly StoredEntry[];
}

/** A saga with everything that is known about it; `not_found`. */
export const inspectSaga = async (db: Queryable, id: string): Promise<Inspected> => {
  const row = await readSaga(db, id);
  if (!row) throw new AppError('not_found', 'There is no such saga');
  return { row, entries: (await readEntries(db, [id])).get(id) ?? [] };
};

const changeOf = ({ row, entries }: Inspected): string =>
  `${row.state} ${row.attempts} ${row.owner} ${entries.length}`;

/** Most who watch a saga in one process; the next one is `overloaded`. */
const maxWatchers = 200;
/** Most sagas one person watches in one process: nobody takes the places of everybody. */
const maxWatchedByOne = 5;

/** Lets at most so many watch at once, and so many for one person where that is said. */
export const sagaWatching = (db: Queryable) => {
  let watchers = 0;
  const byPerson = new Map<string, number>();
  return async function* (id: string, signal: AbortSignal, person?: string): AsyncGenerator<Inspected> {
    const own = person === undefined ? 0 : (byPerson.get(person) ?? 0);
    if (watchers >= maxWatchers) throw new AppError('overloaded', 'Too many are watching');
    if (own >= maxWatchedByOne)
      throw new AppError('overloaded', `You are watching ${maxWatchedByOne} operations already`);
    watchers += 1;
    if (person !== undefined) byPerson.set(person, own + 1);
    try {
      yield* watchSaga(db, id, signal);
    } finally {
      watchers -= 1;
      if (person !== undefined) {
        const left = (byPerson.get(person) ?? 1) - 1;
        if (left > 0) byPerson.set(person, left);
        else byPerson.delete(person);
      }
    }
  };
};

/** A saga each time something has changed, until it has ended or the signal aborts. */
async function* watchSaga(db: Queryable, id: string, signal: AbortSignal): AsyncGenerator<Inspected> {
  let seen = '';
  while (!signal.aborted) {
    const now = await inspectSaga(db, id);
    if (changeOf(now) !== seen) yield now;
    seen = changeOf(now);
    if (endStates.has(now.row.state)) return;
    await pauseUntil(watchEveryMs, signal);
  }
}

/** How often a watched saga is looked at. */
const watchEveryMs = 300;

/** Forgets at most `limit` sagas that ended more than `endedKeepDays` ago, with their journals; returns how many. */
export const pruneSagas = async (db: Queryable, limit = 1_000): Promise<number> => {
  const rows = await db.query(
    `with gone as (
       delete from saga where ctid = any (array(
         select ctid from saga where ended_at < now() - make_interval(days => ${endedKeepDays})
         order by ended_at limit $1))
       returning id
     ), journals as (
       delete from saga_entry where saga_id in (select id from gone)
     )
     select 1 from gone`,
    [limit],
  );
  return rows.length;
};
