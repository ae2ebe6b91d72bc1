import { idempotencyTtlHours, type Queryable, type Row, type Sql } from '@skein/postgres';
import type { InvitationRow } from '../domain/invitation-row.ts';
import {
  type ConflictRow,
  type ConversationRow,
  type DeviceRow,
  type DocumentRow,
  emptyState,
  keyOf,
  type LedgerRow,
  type MessageRow,
  type Needs,
  type OpenConflict,
  type RequestRow,
  type ResultRow,
  type Role,
  type SeqRow,
  type SpaceState,
  type StepRow,
  type TurnRow,
} from '../domain/state.ts';
import { askedOf, type Column, columnTypes } from './asked-columns.ts';
import { columns } from './columns.ts';

/** Kept results of one device that are read at once: one answer does not hold more. */
const resultsBytes = 1_000_000;

/** Parts of the statement beside the spaces and the roles in them; a flush rarely asks for more than two. */
const partColumns = {
  owners: ['ownersSpace'],
  talk: ['messageSpace', 'conversationSpace', 'newestSpace', 'turnSpace'],
  documents: ['documentSpace', 'conflictSpace'],
  seqs: ['seqSpace'],
  devices: ['deviceSpace'],
  open: ['openSpace'],
  conflicts: ['conflictSpace'],
  invitations: ['invitationSpace', 'invitedSpace'],
  // What few commands need: one part, because every part doubles the statements there may be.
  extras: ['requestSpace', 'stepSpace', 'ledgerSpace'],
} as const satisfies Readonly<Record<string, readonly Column[]>>;
type Part = keyof typeof partColumns;
const partNames = Object.keys(partColumns) as Part[];

/**
 * One statement, so one snapshot and one round trip. The head is read in the same snapshot as the rows: when the events
 * are then admitted right behind it, nothing the decision saw can have changed in between. A refusal has no such guard:
 * what was done already under a key or by a step is read in this snapshot too, or a repetition would be refused for the
 * effect of its first attempt. `{name}` is a column.
 */
const textOf = (has: (part: Part) => boolean): string => {
  const ctes = [
    'n_member as (select distinct * from unnest({memberSpace}, {memberUser}) as n(space, user_id))',
  ];
  const members = [
    'select m.space, m.user_id as "userId", m.role from n_member n join member m using (space, user_id)',
  ];
  const selects = [
    `(select json_agg(r) from (select s.id, s.kind, s.title, s.epoch,
     coalesce((select e."offset" from event e where e.stream = s.id order by e."offset" desc limit 1), 0) as head
   from space s where s.id = any({space}::uuid[])) r) as spaces`,
  ];
  if (has('owners'))
    members.push(`select m.space, m.user_id, m.role from member m
       where m.space = any({ownersSpace}::uuid[]) and m.role = 'owner'`);
  if (has('talk')) {
    ctes.push(
      'n_message as (select * from unnest({messageSpace}, {messageUser}, {messageClient}) as n(space, user_id, client_id))',
      'n_conversation as (select * from unnest({conversationSpace}, {conversation}) as n(space, id))',
      'n_turn as (select * from unnest({turnSpace}, {turn}) as n(space, id))',
      `known_message as (
  select m.* from n_message n join message m
    on m.space = n.space and m.user_id = n.user_id and m.client_message_id = n.client_id
)`,
      `known_turn as (
  select distinct t.* from turn t
  where t.id in (select id from n_turn union all select turn_id from known_message where turn_id is not null)
    and t.space = any({space}::uuid[])
)`,
    );
    members.push(`select m.space, m.user_id, m.role from known_turn t
       join member m on m.space = t.space and m.user_id = t.user_id collate "C"`);
    selects.push(
      `(select json_agg(r) from (select ${columns.message('m')} from known_message m) r) as messages`,
      `(select json_agg(r) from (select ${columns.turn('t')}, e.outcome, e."offset" as "endOffset"
   from known_turn t left join turn_end e on e.turn_id = t.id) r) as turns`,
      `(select json_agg(r) from (
     select ${columns.conversation('c')} from conversation c
     where c.id in (select id from n_conversation union all select conversation_id from known_turn)
       and c.space = any({space}::uuid[])
     union select x.* from unnest({newestSpace}) as n(space)
     cross join lateral (select ${columns.conversation('c')} from conversation c where c.space = n.space
       order by c.updated_at_ms desc, c.id desc limit 1) x
   ) r) as conversations`,
    );
  }
  if (has('conflicts')) {
    ctes.push(
      'n_conflict as (select * from unnest({conflictSpace}, {conflict}) as n(space, id))',
      'known_conflict as (select c.* from n_conflict n join conflict c using (space, id))',
    );
    selects.push(
      `(select json_agg(r) from (select ${columns.conflict('c')} from known_conflict c) r) as conflicts`,
    );
  }
  if (has('documents')) {
    const own =
      'select * from unnest({documentSpace}, {documentCollection}, {document}) as n(space, collection, id)';
    const ofConflicts = 'union select space, collection, document_id from known_conflict';
    ctes.push(`n_document as (${own} ${has('conflicts') ? ofConflicts : ''})`);
    selects.push(`(select json_agg(r) from (select ${columns.document('d')}
   from n_document n join document d using (space, collection, id)) r) as documents`);
    if (has('open'))
      selects.push(`(select json_agg(r) from (select ${columns.openConflict('c')} from n_document n join conflict c
     on c.space = n.space and c.collection = n.collection and c.document_id = n.id
   where c.state = 'open' and n.space = any({openSpace}::uuid[])) r) as open`);
  }
  if (has('seqs')) {
    ctes.push(
      'n_seq as (select * from unnest({seqSpace}, {seqUser}, {seqDevice}, {seq}) as n(space, user_id, device, seq))',
    );
    selects.push(
      `(select json_agg(r) from (select d.space, d.user_id as "userId", d.device, d.last_seq as "lastSeq"
   from (select distinct space, user_id, device from n_seq) n
   join device_space d using (space, user_id, device)) r) as seqs`,
      `(select json_agg(r) from (select m.space, m.user_id as "userId", m.device, m.seq, m.hash,
     case when sum(octet_length(m.result)) over (partition by m.space, m.user_id, m.device order by m.seq)
       - octet_length(m.result) < ${resultsBytes} then m.result end as result
   from (select distinct space, user_id, device, seq from n_seq) n
   join mutation_result m using (space, user_id, device, seq)) r) as results`,
    );
  }
  if (has('devices')) {
    ctes.push(
      'n_device as (select * from unnest({deviceSpace}, {deviceUser}, {device}) as n(space, user_id, id))',
    );
    selects.push(`(select json_agg(r) from (select n.space, d.user_id as "userId", d.id, d.platform, d.name,
     d.last_seen_ms as "lastSeenMs", d.registered
   from n_device n join device d on d.user_id = n.user_id and d.id = n.id) r) as devices`);
  }
  if (has('invitations')) {
    ctes.push(
      'n_invitation as (select * from unnest({invitationSpace}, {invitation}) as n(space, id))',
      'n_invited as (select * from unnest({invitedSpace}, {invited}, {invitedEmail}) as n(space, user_id, email))',
    );
    selects.push(`(select json_agg(r) from (
     select ${columns.invitation('i')} from n_invitation n join invitation i using (space, id)
     union select ${columns.invitation('i')} from n_invited n join invitation i using (space)
     where i.accepted_by = n.user_id or i.accepted_by is null and (i.user_id = n.user_id or i.email = n.email
       or i.email in (select p.person_email from invitation p
         where p.space = n.space and p.accepted_by = n.user_id))) r) as invitations`);
  }
  if (has('extras'))
    selects.push(
      `(select json_agg(r) from (
     select n.space, k.scope as "userId", k.method, k.key, k.body_hash as "bodyHash", k.result
     from unnest({requestSpace}, {requestUser}, {requestMethod}, {requestKey}) as n(space, scope, method, key)
     join idempotency_keys k using (scope, method, key)
     where k.created_at > now() - make_interval(hours => ${idempotencyTtlHours})) r) as requests`,
      `(select json_agg(r) from (select n.space, s.key, s.result, s.undone_at is not null as undone
   from unnest({stepSpace}, {step}) as n(space, key) join saga_step_seen s using (key)) r) as steps`,
      `(select json_agg(r) from (select n.space, l.position, l.hash from unnest({ledgerSpace}) as n(space)
   cross join lateral (select position, hash from ledger_entry e where e.space = n.space
     order by position desc limit 1) l) r) as ledgers`,
    );
  selects.push(`(select json_agg(r) from (${members.join('\n union ')}) r) as members`);
  return `with ${ctes.join(',\n')}\nselect ${selects.join(',\n  ')}`;
};

interface Statement {
  readonly sql: Sql;
  readonly order: readonly Column[];
}

/**
 * The statement for some parts. Its parameters stand in a select of their own: Postgres then guesses the same number of
 * rows whatever is in them, and keeps one plan instead of making a new one each time, which took most of the time.
 */
const statementFor = (parts: readonly Part[]): Statement => {
  const order: Column[] = [];
  const text = textOf((part) => parts.includes(part)).replace(/\{(\w+)\}/g, (_, name: Column) => {
    if (!order.includes(name)) order.push(name);
    return `(select $${order.indexOf(name) + 1}::${columnTypes[name]}[])`;
  });
  // Names are short: Postgres cuts them at 63 bytes.
  const set = partNames.map((part) => (parts.includes(part) ? part[0] : '-')).join('');
  return { sql: { name: `session_sync_load_${set}`, text }, order };
};

interface Loaded {
  spaces: { id: string; kind: 'personal' | 'team'; title: string; epoch: string; head: number }[] | null;
  members: { space: string; userId: string; role: Role }[] | null;
  messages?: MessageRow[] | null;
  turns?: TurnRow[] | null;
  conversations?: ConversationRow[] | null;
  documents?: DocumentRow[] | null;
  seqs?: SeqRow[] | null;
  results?: ResultRow[] | null;
  devices?: (DeviceRow & { space: string })[] | null;
  open?: OpenConflict[] | null;
  conflicts?: ConflictRow[] | null;
  invitations?: InvitationRow[] | null;
  requests?: (RequestRow & { space: string })[] | null;
  steps?: (Omit<StepRow, 'stored'> & { space: string })[] | null;
  ledgers?: (Pick<LedgerRow, 'position' | 'hash'> & { space: string })[] | null;
}

const statesOf = (rows: Loaded): Map<string, SpaceState> => {
  const states = new Map((rows.spaces ?? []).map((space) => [space.id, emptyState(space)]));
  const each = <T extends { space: string }>(
    list: T[] | null | undefined,
    put: (state: SpaceState, row: T) => void,
  ) => {
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
  each(rows.requests, (state, row) => state.requests.set(keyOf(row.userId, row.method, row.key), row));
  each(rows.steps, (state, { key, result, undone }) =>
    state.steps.set(key, { key, result, undone, stored: true }),
  );
  each(rows.ledgers, (state, row) => {
    state.ledger = row;
  });
  return states;
};

/** Reads what needs ask for, with the heads, in one snapshot; spaces that are not there are left out. */
export const stateLoader = () => {
  // As many as there are sets of parts that commands together ask for: some dozens at most.
  const statements = new Map<string, Statement>();
  return async (
    db: Queryable,
    needs: ReadonlyMap<string, readonly Needs[]>,
  ): Promise<Map<string, SpaceState>> => {
    const asked = askedOf(needs);
    const parts = partNames.filter((part) => partColumns[part].some((column) => asked[column].length > 0));
    const key = parts.join();
    const statement = statements.get(key) ?? statementFor(parts);
    statements.set(key, statement);
    const [row] = await db.query<Loaded & Row>(
      statement.sql,
      statement.order.map((column) => asked[column]),
    );
    return row ? statesOf(row) : new Map();
  };
};
