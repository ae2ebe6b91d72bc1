import { idempotencyTtlHours, type Queryable, type Sql } from '@skein/postgres';
import { keyOf, type LedgerRow, type Needs, type RequestRow, type SpaceState } from '../domain/state.ts';

/**
 * What few commands need, apart from the one statement that loads the rest. It may be a moment older than what is
 * loaded after it: what happened in between fails a guard of the commit.
 */

type Known = Record<string, unknown> & { readonly space: string };

const requestsSql = {
  name: 'session_sync_requests',
  text: `
select n.space, k.scope as "userId", k.method, k.key, k.body_hash as "bodyHash", k.result
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) as n(space, scope, method, key)
join idempotency_keys k using (scope, method, key)
where k.created_at > now() - make_interval(hours => ${idempotencyTtlHours})`,
};

const ledgerSql = {
  name: 'session_sync_ledger_heads',
  text: `
select n.space, l.position, l.hash from unnest($1::uuid[]) as n(space)
cross join lateral (select position, hash from ledger_entry e where e.space = n.space
  order by position desc limit 1) l`,
};

const stepsSql = {
  name: 'session_sync_steps',
  text: `
select n.space, s.key, s.result, s.undone_at is not null as undone
from unnest($1::uuid[], $2::text[]) as n(space, key) join saga_step_seen s using (key)`,
};

/** Columns of what the needs say, for one statement; none when nothing does. */
const columnsOf = (
  needs: ReadonlyMap<string, readonly Needs[]>,
  read: (need: Needs) => readonly string[] | undefined,
): string[][] => {
  const rows = [...needs].flatMap(([space, all]) =>
    all.flatMap((need) => {
      const key = read(need);
      return key ? [[space, ...key]] : [];
    }),
  );
  return rows[0]?.map((_, at) => rows.map((row) => row[at] as string)) ?? [];
};

const queryIf = async <R extends Known>(db: Queryable, sql: Sql, columns: string[][]): Promise<R[]> =>
  columns.length === 0 ? [] : db.query<R>(sql, columns);

/** What was found, to be put into the states of its spaces. */
export type Extras = (states: ReadonlyMap<string, SpaceState>) => void;

/** Reads remembered requests, steps of sagas and heads of ledgers, as far as they are needed. */
export const loadExtras = async (
  db: Queryable,
  needs: ReadonlyMap<string, readonly Needs[]>,
): Promise<Extras> => {
  const requests = await queryIf<Known & RequestRow>(
    db,
    requestsSql,
    columnsOf(needs, ({ request }) => request && [request.userId, request.method, request.key]),
  );
  const steps = await queryIf<Known & { key: string; result: string | null; undone: boolean }>(
    db,
    stepsSql,
    columnsOf(needs, ({ step }) => (step === undefined ? undefined : [step])),
  );
  const spaces = columnsOf(needs, ({ ledger }) => (ledger ? [] : undefined));
  const heads = await queryIf<Known & Pick<LedgerRow, 'position' | 'hash'>>(
    db,
    ledgerSql,
    spaces.map((column) => [...new Set(column)]),
  );
  return (states) => {
    for (const { space, ...row } of requests)
      states.get(space)?.requests.set(keyOf(row.userId, row.method, row.key), row);
    for (const { space, ...row } of steps) states.get(space)?.steps.set(row.key, { ...row, stored: true });
    for (const { space, ...row } of heads) {
      const state = states.get(space);
      if (state) state.ledger = row;
    }
  };
};
