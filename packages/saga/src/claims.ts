import type { Queryable } from '@skein/postgres';
import { notFirstInLine } from './locks.ts';
import type { Entry, SagaState } from './state.ts';

/** A saga as it stands in its row. */
export interface SagaRow {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly subject: string | null;
  readonly input: string;
  readonly correlationId: string;
  readonly traceparent: string | null;
  readonly createdAt: Date;
  readonly endedAt: Date | null;
  readonly state: SagaState;
  readonly owner: string | null;
  readonly dueAt: Date | null;
  readonly fence: number;
  readonly attempts: number;
  readonly failure: string | null;
}

/** The columns of `SagaRow`, of a table or an alias. */
export const sagaColumns = (of: string): string =>
  `${of}.id, ${of}.name, ${of}.version, ${of}.subject, ${of}.input, ${of}.correlation_id as "correlationId",
   ${of}.traceparent, ${of}.created_at as "createdAt", ${of}.ended_at as "endedAt", ${of}.state, ${of}.owner,
   ${of}.due_at as "dueAt", ${of}.fence, ${of}.attempts, ${of}.failure`;

/** A line of a journal with where and when it was written. */
export interface StoredEntry extends Entry {
  readonly pos: number;
  readonly at: Date;
}

interface EntryRow {
  readonly saga_id: string;
  readonly pos: number;
  readonly kind: Entry['kind'];
  readonly step: string;
  readonly data: string | null;
  readonly actor: string | null;
  readonly reason: string | null;
  readonly attempts: number | null;
  readonly took_ms: number | null;
  readonly at: Date;
}

/** The journals of sagas, each in order; a saga without entries is not in it. */
export const readEntries = async (
  db: Queryable,
  ids: readonly string[],
): Promise<ReadonlyMap<string, readonly StoredEntry[]>> => {
  const rows = await db.query<EntryRow>(
    {
      name: 'skein_saga_entries',
      text: `select saga_id, pos, kind, step, data, actor, reason, attempts, took_ms, at from saga_entry
             where saga_id = any($1) order by saga_id, pos`,
    },
    [ids],
  );
  const journals = new Map<string, StoredEntry[]>();
  for (const row of rows) {
    const entries = journals.get(row.saga_id) ?? [];
    entries.push({
      pos: row.pos,
      kind: row.kind,
      step: row.step,
      data: row.data ?? undefined,
      actor: row.actor ?? undefined,
      reason: row.reason ?? undefined,
      attempts: row.attempts ?? undefined,
      tookMs: row.took_ms ?? undefined,
      at: row.at,
    });
    journals.set(row.saga_id, entries);
  }
  return journals;
};

/** Whether a text can be the id of a saga; the database refuses anything else loudly. */
export const isSagaId = (text: string): boolean => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);

/** The row of a saga; undefined when there is none. */
export const readSaga = async (db: Queryable, id: string): Promise<SagaRow | undefined> => {
  if (!isSagaId(id)) return undefined;
  const [row] = await db.query<SagaRow>(
    { name: 'skein_saga_read', text: `select ${sagaColumns('s')} from saga s where id = $1` },
    [id],
  );
  return row;
};

/** A name and version of a definition. */
export interface DefinitionId {
  readonly name: string;
  readonly version: number;
}

/** A saga this process has just become the owner of. */
export interface Claimed extends SagaRow {
  /** Who owned it until its lease ended; null when it had been let go. */
  readonly previousOwner: string | null;
}

/**
 * Makes this process the owner of at most `limit` sagas that are due and whose definition it has. Two claimers never
 * get the same; every claim raises the fence, so that an earlier owner can write no more.
 */
export const claimSagas = (
  db: Queryable,
  claim: {
    readonly owner: string;
    readonly leaseMs: number;
    readonly limit: number;
    readonly known: readonly DefinitionId[];
    /** Sagas in hand: after standing still for too long a process keeps them, if nobody has taken them over. */
    readonly held: readonly string[];
  },
): Promise<Claimed[]> =>
  db.query<Claimed>(
    {
      name: 'skein_saga_claim',
      text: `
with due as (
  select s.id, s.owner from saga s
  where s.due_at <= now()
    and (s.name, s.version) in (select * from unnest($1::text[], $2::int[]))
    and (s.state <> 'waiting' or not ${notFirstInLine('s')})
    and not (s.owner = $4 and s.id = any($6::uuid[]))
  order by s.due_at limit $3 for update of s skip locked
)
update saga s set owner = $4, fence = s.fence + 1, due_at = now() + make_interval(secs => $5 / 1000.0),
  state = case when s.state = 'waiting' then 'running' else s.state end
from due where s.id = due.id
returning ${sagaColumns('s')}, due.owner as "previousOwner"`,
    },
    [
      claim.known.map(({ name }) => name),
      claim.known.map(({ version }) => version),
      claim.limit,
      claim.owner,
      claim.leaseMs,
      claim.held,
    ],
  );

/** Ends the leases that an earlier life of this owner has left: nobody has to wait for them. */
export const releaseLeases = async (db: Queryable, owner: string): Promise<void> => {
  await db.query(
    {
      name: 'skein_saga_release',
      text: 'update saga set due_at = now() where owner = $1 and due_at > now()',
    },
    [owner],
  );
};

/**
 * Extends the leases of sagas in hand, and gives the ids of those that somebody else has meanwhile. A row that is
 * being written to right now is left out: its next renewal comes soon enough.
 */
export const renewLeases = async (
  db: Queryable,
  held: readonly { readonly id: string; readonly fence: number }[],
  leaseMs: number,
): Promise<string[]> => {
  const rows = await db.query<{ id: string }>(
    {
      name: 'skein_saga_renew',
      text: `
with held as (
  select * from unnest($1::uuid[], $2::bigint[]) as h(id, fence)
), mine as (
  select s.id from saga s join held h on h.id = s.id and h.fence = s.fence
  where s.due_at is not null for update of s skip locked
), renewed as (
  update saga s set due_at = now() + make_interval(secs => $3 / 1000.0) from mine where s.id = mine.id
)
select s.id from saga s join held h on h.id = s.id where h.fence <> s.fence`,
    },
    [held.map(({ id }) => id), held.map(({ fence }) => fence), leaseMs],
  );
  return rows.map(({ id }) => id);
};
