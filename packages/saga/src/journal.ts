import {
  type Database,
  type GroupCommit,
  groupCommit,
  isSerializationFailure,
  type Queryable,
} from '@skein/postgres';
import { type Entry, endStates, type SagaState } from './state.ts';

/** A saga as it is written down first. */
export interface NewSaga {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  /** Starting the same saga with the same key again starts nothing. */
  readonly key: string | undefined;
  readonly subject: string | undefined;
  /** JSON text. */
  readonly input: string;
  readonly correlationId: string;
  readonly traceparent: string | undefined;
}

/** An entry for the journal, by the owner with this fence, for this position and no other. */
export interface Append {
  readonly id: string;
  readonly fence: number;
  readonly pos: number;
  readonly entry: Entry;
  /** What the saga becomes by it; undefined when that stays. */
  readonly state: SagaState | undefined;
}

/** A saga let go by its owner, to be looked at again after a while. */
export interface Deferral {
  readonly id: string;
  readonly fence: number;
  readonly afterMs: number;
  /** Attempts so far at the step that is next, and how the last one failed. */
  readonly attempts: number;
  readonly failure: string | undefined;
}

/** How many writes share a statement at most: of 256 sagas in step two halves overlap, one in Node, one in Postgres. */
const maxUnits = 128;
/** Statements of each kind under way at once. */
const concurrency = 2;

/**
 * The entry is written where the fence is still the owner's and nobody has taken the position; only then the saga
 * follows. It may follow without another look at the fence: whoever took over meanwhile cannot write behind an entry
 * it has not seen, and seeing it means seeing the saga follow.
 */
const appendText = `
with wanted as (
  select * from unnest($1::uuid[], $2::bigint[], $3::int[], $4::text[], $5::text[], $6::text[], $7::int[], $8::int[],
    $9::text[]) as w(id, fence, pos, kind, step, data, attempts, took_ms, state)
), stored as (
  insert into saga_entry (saga_id, pos, kind, step, data, attempts, took_ms, state)
  select w.id, w.pos, w.kind, w.step, w.data, w.attempts, w.took_ms, w.state
  from wanted w join saga s on s.id = w.id and s.fence = w.fence
  on conflict do nothing
  returning saga_id, kind, data, attempts, state
), followed as (
  update saga s set
    state = coalesce(e.state, s.state),
    attempts = 0,
    failure = case when e.kind in ('refused', 'given_up', 'parked') then e.data else s.failure end,
    due_at = case when e.state in ('parked', 'done', 'compensated', 'killed') then null else s.due_at end,
    owner = case when e.state in ('parked', 'done', 'compensated', 'killed') then null else s.owner end,
    ended_at = case when e.state in ('done', 'compensated', 'killed') then now() end
  from stored e where s.id = e.saga_id and (e.state is not null or e.attempts > 1)
)
select saga_id as id from stored`;

/** Writes entries; gives the ids of those that were written. The others have lost their saga or their position. */
export const appendEntries = async (
  db: Queryable,
  appends: readonly Append[],
): Promise<ReadonlySet<string>> => {
  const rows = await db.query<{ id: string }>({ name: 'skein_saga_append', text: appendText }, [
    appends.map(({ id }) => id),
    appends.map(({ fence }) => fence),
    appends.map(({ pos }) => pos),
    appends.map(({ entry }) => entry.kind),
    appends.map(({ entry }) => entry.step),
    appends.map(({ entry }) => entry.data ?? null),
    appends.map(({ entry }) => entry.attempts ?? null),
    appends.map(({ entry }) => entry.tookMs ?? null),
    appends.map(({ state }) => state ?? null),
  ]);
  return new Set(rows.map(({ id }) => id));
};

const startText = `
insert into saga (id, name, version, key, subject, input, correlation_id, traceparent, state, owner, fence, due_at)
select id, name, version, key, subject, input, correlation_id, traceparent, $9, $10::text,
  case when $10::text is null then 0 else 1 end, now() + make_interval(secs => $11::float8 / 1000)
from unnest($1::uuid[], $2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
  as w(id, name, version, key, subject, input, correlation_id, traceparent)
on conflict do nothing returning id`;

/** Writes new sagas; gives the ids of those that were written. The others have a key that was used before. */
export const insertSagas = async (
  db: Queryable,
  sagas: readonly NewSaga[],
  first: { readonly state: SagaState; readonly owner: string | null; readonly dueMs: number | null },
): Promise<ReadonlySet<string>> => {
  const rows = await db.query<{ id: string }>({ name: 'skein_saga_start', text: startText }, [
    sagas.map(({ id }) => id),
    sagas.map(({ name }) => name),
    sagas.map(({ version }) => version),
    sagas.map(({ key }) => key ?? null),
    sagas.map(({ subject }) => subject ?? null),
    sagas.map(({ input }) => input),
    sagas.map(({ correlationId }) => correlationId),
    sagas.map(({ traceparent }) => traceparent ?? null),
    first.state,
    first.owner,
    first.dueMs,
  ]);
  return new Set(rows.map(({ id }) => id));
};

const deferText = `
update saga s set owner = null, due_at = now() + make_interval(secs => d.after_ms / 1000.0), attempts = d.attempts,
  failure = coalesce(d.failure, s.failure)
from unnest($1::uuid[], $2::bigint[], $3::float8[], $4::int[], $5::text[])
  as d(id, fence, after_ms, attempts, failure)
where s.id = d.id and s.fence = d.fence
returning s.id`;

const deferSagas = async (db: Queryable, deferrals: readonly Deferral[]): Promise<ReadonlySet<string>> => {
  const rows = await db.query<{ id: string }>({ name: 'skein_saga_defer', text: deferText }, [
    deferrals.map(({ id }) => id),
    deferrals.map(({ fence }) => fence),
    deferrals.map(({ afterMs }) => afterMs),
    deferrals.map(({ attempts }) => attempts),
    deferrals.map(({ failure }) => failure ?? null),
  ]);
  return new Set(rows.map(({ id }) => id));
};

/** The writing side of the journal: what comes at the same time shares a statement, so a disk write. */
export interface Journal {
  /** Writes a saga that this process owns from the start; false when its key was used before. */
  start(saga: NewSaga): Promise<boolean>;
  /** Writes an entry; false when the saga or the position was lost to somebody else. */
  append(append: Append): Promise<boolean>;
  /** Lets a saga go; false when it was lost already. */
  defer(deferral: Deferral): Promise<boolean>;
  /** Refuses new writes and waits for those under way. */
  stop(): Promise<void>;
}

/** What a journal is made of. */
export interface JournalOptions {
  readonly database: Database;
  readonly owner: string;
  readonly leaseMs: number;
  /** Most writes of each kind that wait; more are `overloaded`. */
  readonly maxQueued: number;
}

/** The journal of one process. */
export const journal = ({ database, owner, leaseMs, maxQueued }: JournalOptions): Journal => {
  const batched = <Unit extends { readonly id: string }>(
    write: (units: readonly Unit[]) => Promise<ReadonlySet<string>>,
  ): GroupCommit<Unit, boolean> =>
    groupCommit({
      maxUnits,
      maxQueued,
      concurrency,
      keyOf: ({ id }) => id,
      flush: async (units) => {
        // A verb takes the row before the entry, an append the other way round. A deadlock has undone the whole
        // statement, and whoever won has raised the fence: the second time only that saga is left out.
        const written = await write(units).catch((error: unknown) => {
          if (!isSerializationFailure(error)) throw error;
          return write(units);
        });
        return units.map(({ id }) => written.has(id));
      },
    });
  const starts = batched<NewSaga>((sagas) =>
    insertSagas(database, sagas, { state: 'running', owner, dueMs: leaseMs }),
  );
  const appends = batched<Append>((some) => appendEntries(database, some));
  const deferrals = batched<Deferral>((some) => deferSagas(database, some));
  return {
    start: (saga) => starts.submit(saga),
    append: (append) => appends.submit(append),
    defer: (deferral) => deferrals.submit(deferral),
    stop: async () => {
      await Promise.all([starts.stop(), appends.stop(), deferrals.stop()]);
    },
  };
};

/** Whether nothing follows. */
export const isEnd = (state: SagaState): boolean => endStates.has(state);
