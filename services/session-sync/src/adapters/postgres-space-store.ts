import { AppError } from '@skein/contracts';
import {
  type Database,
  isCommitUnknown,
  isConnectionLoss,
  type Queryable,
  type Row,
  type Sql,
  sqlState,
} from '@skein/postgres';
import { SpanKind, withSpan } from '@skein/telemetry';
import {
  OutcomeUnknown,
  type PlannedEvent,
  type SpacePlan,
  type SpaceStore,
  SpacesMoved,
} from '../app/ports.ts';
import {
  type ConflictRow,
  type ConversationRow,
  type DeviceRow,
  type DocumentRow,
  emptyState,
  type InvitationRow,
  keyOf,
  type MessageRow,
  type Needs,
  type OpenConflict,
  type ResultRow,
  type Role,
  type SeqRow,
  type SpaceState,
  type TurnRow,
  type Writes,
} from '../domain/state.ts';
import { columns } from './columns.ts';
import { logAt } from './log-reads.ts';
import { type Extras, loadExtras } from './postgres-space-extras.ts';

/** SQLSTATE of a guard that failed in `commit_units`. */
const guardFailed = 'SK001';

/** Kept results of one device that are read at once: one answer does not hold more. */
const resultsBytes = 1_000_000;

/**
 * A replica that has spaces for itself and freezes or vanishes without a goodbye must soon let go of them; one that
 * waits for them must soon answer its callers.
 */
const holdingLocks = `set local idle_in_transaction_session_timeout = '5s'; set local transaction_timeout = '10s'`;

/**
 * The spaces of a flush wait for it: over a dead connection it is asked for again on another one. Not sooner than its
 * callers give up, or a database that is only slow would never get done with it.
 */
const answerMs = 12_000;

const answeredSoon = (db: Queryable): Queryable => ({
  query: (sql, params, options) => db.query(sql, params, { answerMs, ...options }),
});

interface Loaded {
  spaces: { id: string; kind: 'personal' | 'team'; title: string; epoch: string; head: number }[] | null;
  members: { space: string; userId: string; role: Role }[] | null;
  messages: MessageRow[] | null;
  turns: TurnRow[] | null;
  conversations: ConversationRow[] | null;
  documents: DocumentRow[] | null;
  seqs: SeqRow[] | null;
  results: ResultRow[] | null;
  devices: (DeviceRow & { space: string })[] | null;
  open: OpenConflict[] | null;
  conflicts: ConflictRow[] | null;
  invitations: InvitationRow[] | null;
}

// One statement, so one snapshot and one round trip. The head is read in the same snapshot as the rows: when the
// events are then admitted right behind it, nothing the decision saw can have changed in between.
const loadSql = {
  name: 'session_sync_load',
  text: `
with n_member as (select * from unnest($2::uuid[], $3::text[]) as n(space, user_id)),
n_message as (select * from unnest($5::uuid[], $6::text[], $7::text[]) as n(space, user_id, client_id)),
n_conversation as (select * from unnest($8::uuid[], $9::uuid[]) as n(space, id)),
n_turn as (select * from unnest($11::uuid[], $12::uuid[]) as n(space, id)),
n_conflict as (select * from unnest($24::uuid[], $25::uuid[]) as n(space, id)),
known_conflict as (select c.* from n_conflict n join conflict c using (space, id)),
n_document as (
  select * from unnest($13::uuid[], $14::text[], $15::text[]) as n(space, collection, id)
  union select space, collection, document_id from known_conflict
),
n_invitation as (select * from unnest($26::uuid[], $27::uuid[]) as n(space, id)),
n_seq as (select * from unnest($16::uuid[], $17::text[], $18::text[], $19::bigint[]) as n(space, user_id, device, seq)),
n_device as (select * from unnest($20::uuid[], $21::text[], $22::text[]) as n(space, user_id, id)),
known_message as (
  select m.* from n_message n join message m
    on m.space = n.space and m.user_id = n.user_id and m.client_message_id = n.client_id
),
known_turn as (
  select distinct t.* from turn t
  where t.id in (select id from n_turn union all select turn_id from known_message where turn_id is not null)
    and t.space = any($1::uuid[])
)
select
  (select json_agg(r) from (select s.id, s.kind, s.title, s.epoch,
     coalesce((select e."offset" from event e where e.stream = s.id order by e."offset" desc limit 1), 0) as head
   from space s where s.id = any($1::uuid[])) r) as spaces,
  (select json_agg(r) from (
     select m.space, m.user_id as "userId", m.role from n_member n join member m using (space, user_id)
     union select m.space, m.user_id, m.role from member m where m.space = any($4::uuid[]) and m.role = 'owner'
     union select m.space, m.user_id, m.role from known_turn t
       join member m on m.space = t.space and m.user_id = t.user_id collate "C"
   ) r) as members,
  (select json_agg(r) from (select ${columns.message('m')} from known_message m) r) as messages,
  (select json_agg(r) from (select ${columns.turn('t')}, e.outcome, e."offset" as "endOffset"
   from known_turn t left join turn_end e on e.turn_id = t.id) r) as turns,
  (select json_agg(r) from (
     select ${columns.conversation('c')} from conversation c
     where c.id in (select id from n_conversation union all select conversation_id from known_turn)
       and c.space = any($1::uuid[])
     union select x.* from unnest($10::uuid[]) as n(space)
     cross join lateral (select ${columns.conversation('c')} from conversation c where c.space = n.space
       order by c.updated_at_ms desc, c.id desc limit 1) x
   ) r) as conversations,
  (select json_agg(r) from (select ${columns.document('d')}
   from n_document n join document d using (space, collection, id)) r) as documents,
  (select json_agg(r) from (select d.space, d.user_id as "userId", d.device, d.last_seq as "lastSeq"
   from (select distinct space, user_id, device from n_seq) n
   join device_space d using (space, user_id, device)) r) as seqs,
  (select json_agg(r) from (select m.space, m.user_id as "userId", m.device, m.seq, m.hash,
     case when sum(octet_length(m.result)) over (partition by m.space, m.user_id, m.device order by m.seq)
       - octet_length(m.result) < ${resultsBytes} then m.result end as result
   from (select distinct space, user_id, device, seq from n_seq) n
   join mutation_result m using (space, user_id, device, seq)) r) as results,
  (select json_agg(r) from (select n.space, d.user_id as "userId", d.id, d.platform, d.name,
     d.last_seen_ms as "lastSeenMs", d.registered from n_device n join device d on d.user_id = n.user_id and d.id = n.id) r) as devices,
  (select json_agg(r) from (select ${columns.openConflict('c')} from n_document n join conflict c
     on c.space = n.space and c.collection = n.collection and c.document_id = n.id
   where c.state = 'open' and n.space = any($23::uuid[])) r) as open,
  (select json_agg(r) from (select ${columns.conflict('c')} from known_conflict c) r) as conflicts,
  (select json_agg(r) from (select ${columns.invitation('i')}
   from n_invitation n join invitation i using (space, id)) r) as invitations`,
};

const commitSql = {
  name: 'session_sync_commit',
  text: `select commit_units($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`,
};

const commitOnceSql = {
  name: 'session_sync_commit_once',
  text: `select commit_once($20, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`,
};

/** Columns of the needs, in the order of the parameters of `loadSql`. */
const parametersOf = (needs: ReadonlyMap<string, readonly Needs[]>): unknown[] => {
  const p: unknown[][] = Array.from({ length: 28 }, () => []);
  const push = (at: number, ...values: unknown[]) => {
    for (const [index, value] of values.entries()) p[at + index]?.push(value);
  };
  for (const [space, all] of needs) {
    push(1, space);
    const documents = new Set<string>();
    let newest = false;
    let owners = false;
    let open = false;
    for (const need of all) {
      for (const member of need.members ?? []) push(2, space, member);
      if (need.clientMessage) push(5, space, need.clientMessage.userId, need.clientMessage.id);
      if (need.conversation !== undefined) push(8, space, need.conversation);
      if (need.turn !== undefined) push(11, space, need.turn);
      for (const { collection, id } of need.documents ?? []) {
        const key = keyOf(collection, id);
        if (documents.has(key)) continue;
        documents.add(key);
        push(13, space, collection, id);
      }
      for (const seq of need.seq?.seqs ?? []) push(16, space, need.seq?.userId, need.seq?.device, seq);
      if (need.device) push(20, space, need.device.userId, need.device.id);
      if (need.conflict !== undefined) push(24, space, need.conflict);
      if (need.invitation !== undefined) push(26, space, need.invitation);
      newest ||= need.newestConversation ?? false;
      owners ||= need.owners ?? false;
      open ||= need.openConflicts ?? false;
    }
    if (owners) push(4, space);
    if (newest) push(10, space);
    if (open) push(23, space);
  }
  return p.slice(1);
};

const statesOf = (rows: Loaded, extras: Extras): Map<string, SpaceState> => {
  const states = new Map((rows.spaces ?? []).map((space) => [space.id, emptyState(space)]));
  const each = <T extends { space: string }>(list: T[] | null, put: (state: SpaceState, row: T) => void) => {
    for (const row of list ?? []) {
      const state = states.get(row.space);
      if (state) put(state, row);
    }
  };
  each(rows.members, (state, row) => state.roles.set(row.userId, row.role));
  each(rows.messages, (state, row) =>
    state.messages.set(keyOf(row.userId ?? '', row.clientMessageId ?? ''), row),
  );
  each(rows.turns, (state, row) => state.turns.set(row.id, row));
  each(rows.conversations, (state, row) => state.conversations.set(row.id, row));
  each(rows.documents, (state, row) => state.documents.set(keyOf(row.collection, row.id), row));
  each(rows.seqs, (state, row) => state.seqs.set(keyOf(row.userId, row.device), row.lastSeq));
  each(rows.results, (state, row) => state.results.set(keyOf(row.userId, row.device, row.seq), row));
  each(rows.devices, (state, row) => state.devices.set(keyOf(row.userId, row.id), row));
  each(rows.open, (state, row) => state.openConflicts.set(row.id, row));
  each(rows.conflicts, (state, row) => state.conflicts.set(row.id, row));
  each(rows.invitations, (state, row) => state.invitations.set(row.id, row));
  extras(states);
  return states;
};

/** All rows of one kind over the plans, sorted by their key; null when there are none. */
const rowsOf = <K extends keyof Writes>(
  plans: readonly SpacePlan[],
  name: K,
  key: (row: NonNullable<Writes[K]>[number]) => string,
  more?: (row: NonNullable<Writes[K]>[number], plan: SpacePlan) => object,
): string | null => {
  const rows: { readonly key: string; readonly row: object }[] = [];
  // Asked for every kind of row in every flush, and most plans have few kinds.
  for (const plan of plans)
    for (const row of (plan.writes[name] ?? []) as NonNullable<Writes[K]>[number][])
      rows.push({ key: key(row), row: more ? { ...row, ...more(row, plan) } : row });
  if (rows.length === 0) return null;
  rows.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return JSON.stringify(rows.map(({ row }) => row));
};

/** Conflicts and the ends of conflicts, which have no collection, in one list. */
const conflictsOf = (plans: readonly SpacePlan[]): string | null => {
  const rows = plans.flatMap(({ writes }) => [...(writes.conflicts ?? []), ...(writes.conflictEnds ?? [])]);
  return rows.length === 0 ? null : JSON.stringify(rows);
};

const commitParameters = (plans: readonly SpacePlan[]): unknown[] => {
  const sorted = [...plans].sort((a, b) => (a.space < b.space ? -1 : 1));
  const events = sorted.flatMap(({ space, events: own }) => own.map((event) => ({ space, event })));
  const column = (read: (event: PlannedEvent) => unknown) => events.map(({ event }) => read(event));
  return [
    sorted.map(({ space }) => space),
    events.map(({ space }) => space),
    column((event) => event.offset),
    column((event) => event.id),
    column((event) => event.type),
    column((event) => event.timeMs),
    column((event) => event.json),
    column((event) => event.correlationId),
    column((event) => event.traceparent ?? null),
    rowsOf(
      sorted,
      'seqs',
      (row) => keyOf(row.space, row.userId, row.device),
      (row, plan) => ({
        expected: plan.expected.seqs.get(keyOf(row.userId, row.device)) ?? 0,
      }),
    ),
    rowsOf(
      sorted,
      'documents',
      (row) => keyOf(row.space, row.collection, row.id),
      (row, plan) => ({
        expected: plan.expected.documents.get(keyOf(row.collection, row.id)) ?? 0,
      }),
    ),
    rowsOf(sorted, 'conversations', (row) => row.id),
    rowsOf(sorted, 'messages', (row) => row.id),
    rowsOf(sorted, 'turns', (row) => row.id),
    rowsOf(sorted, 'turnEnds', (row) => row.turnId),
    rowsOf(sorted, 'results', (row) => keyOf(row.space, row.userId, row.device, row.seq)),
    conflictsOf(sorted),
    rowsOf(sorted, 'members', (row) => keyOf(row.space, row.userId)),
    rowsOf(sorted, 'devices', (row) => keyOf(row.userId, row.id)),
  ];
};

/**
 * One statement that writes all plans: what few commits have is written by functions of its own, last, in the order in
 * which they lock.
 */
const commitOf = (plans: readonly SpacePlan[]): { readonly sql: Sql; readonly parameters: unknown[] } => {
  const inSpace = (_: unknown, { space }: SpacePlan) => ({ space });
  const requests = rowsOf(plans, 'requests', (row) => keyOf(row.userId, row.method, row.key), inSpace);
  const base = requests === null ? commitSql : commitOnceSql;
  const parameters = [...commitParameters(plans), ...(requests === null ? [] : [requests])];
  const extras = [
    { name: 'commit_ledger', rows: rowsOf(plans, 'ledger', (row) => keyOf(row.space, row.position)) },
    { name: 'commit_steps', rows: rowsOf(plans, 'steps', (row) => row.key, inSpace) },
  ].filter(({ rows }) => rows !== null);
  const calls = extras.map(({ name }, at) => `, ${name}($${parameters.length + at + 1})`);
  return {
    sql: {
      name: [base.name, ...extras.map(({ name }) => name)].join('_'),
      text: base.text + calls.join(''),
    },
    parameters: [...parameters, ...extras.map(({ rows }) => rows)],
  };
};

const detailOf = (error: unknown): string => {
  for (let e = error; e instanceof Error; e = e.cause as Error)
    if (typeof (e as { detail?: unknown }).detail === 'string' && sqlState(e) === guardFailed)
      return (e as unknown as { detail: string }).detail;
  return '';
};

/** The error of a write as what the writer acts on. */
const writeError = (error: unknown): unknown => {
  if (sqlState(error) === guardFailed) return new SpacesMoved(new Set(detailOf(error).split(',')), error);
  // A lost connection says nothing about what the server did with the statement.
  const lost = error instanceof AppError ? error.code === 'unavailable' : isConnectionLoss(error);
  return lost || isCommitUnknown(error) ? new OutcomeUnknown(error) : error;
};

/** The store over this service's schema. */
export const postgresSpaceStore = (database: Database): SpaceStore => {
  const load = async (on: Queryable, needs: ReadonlyMap<string, readonly Needs[]>) => {
    const db = answeredSoon(on);
    const extras = await loadExtras(db, needs);
    const [row] = await db.query<Loaded & Row>(loadSql, parametersOf(needs));
    return row ? statesOf(row, extras) : new Map<string, SpaceState>();
  };
  const write = (db: Queryable, plans: readonly SpacePlan[]) => {
    const { sql, parameters } = commitOf(plans);
    return answeredSoon(db).query(sql, parameters);
  };

  return {
    load: (needs) => load(database, needs),
    commit: async (plans) => {
      const traced = plans
        .flatMap(({ events }) => events)
        .find(({ traceparent }) => traceparent !== undefined);
      const attributes = { 'db.system.name': 'postgresql', 'db.operation.batch.size': plans.length };
      try {
        // One statement for many callers: it hangs in the trace of the first, the others share its time.
        if (traced)
          await withSpan(
            'commit_units',
            { kind: SpanKind.CLIENT, traceparent: traced.traceparent, attributes },
            () => write(database, plans),
          );
        else await write(database, plans);
      } catch (error) {
        throw writeError(error);
      }
    },
    exclusively: async (needs, decide) => {
      try {
        await database.transaction(async (tx) => {
          await tx.query(holdingLocks);
          // In the order of `commit_units`.
          await tx.query(
            'select pg_advisory_xact_lock(hashtextextended(space, 0)) from unnest($1::text[]) as space',
            [[...needs.keys()].sort()],
          );
          const plans = decide(await load(tx, needs));
          if (plans.length > 0) await write(tx, plans);
        });
      } catch (error) {
        throw writeError(error);
      }
    },
    holds: async (space, offset, id) => {
      const rows = await database.query(
        `select 1 from ${logAt('$1', 'array[$2::bigint]')} e where e.id = $3`,
        [space, offset, id],
      );
      return rows.length > 0;
    },
  };
};
