import type { Queryable, Row, Sql } from '@skein/postgres';
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
} from '../domain/state.ts';
import { columns } from './columns.ts';

/** Kept results of one device that are read at once: one answer does not hold more. */
const resultsBytes = 1_000_000;

/** What the needs of a flush are made of, column by column. */
const columnTypes = {
  space: 'uuid',
  memberSpace: 'uuid',
  memberUser: 'text',
  ownersSpace: 'uuid',
  messageSpace: 'uuid',
  messageUser: 'text',
  messageClient: 'text',
  conversationSpace: 'uuid',
  conversation: 'uuid',
  newestSpace: 'uuid',
  turnSpace: 'uuid',
  turn: 'uuid',
  documentSpace: 'uuid',
  documentCollection: 'text',
  document: 'text',
  seqSpace: 'uuid',
  seqUser: 'text',
  seqDevice: 'text',
  seq: 'bigint',
  deviceSpace: 'uuid',
  deviceUser: 'text',
  device: 'text',
  openSpace: 'uuid',
  conflictSpace: 'uuid',
  conflict: 'uuid',
  invitationSpace: 'uuid',
  invitation: 'uuid',
  invitedSpace: 'uuid',
  invited: 'text',
} as const;
type Column = keyof typeof columnTypes;
type Asked = Readonly<Record<Column, readonly unknown[]>>;

const askedOf = (needs: ReadonlyMap<string, readonly Needs[]>): Asked => {
  const asked = Object.fromEntries(Object.keys(columnTypes).map((name) => [name, [] as unknown[]])) as Record<
    Column,
    unknown[]
  >;
  for (const [space, all] of needs) {
    asked.space.push(space);
    const documents = new Set<string>();
    for (const need of all) {
      for (const member of need.members ?? []) {
        asked.memberSpace.push(space);
        asked.memberUser.push(member);
      }
      if (need.clientMessage) {
        asked.messageSpace.push(space);
        asked.messageUser.push(need.clientMessage.userId);
        asked.messageClient.push(need.clientMessage.id);
      }
      if (need.conversation !== undefined) {
        asked.conversationSpace.push(space);
        asked.conversation.push(need.conversation);
      }
      if (need.turn !== undefined) {
        asked.turnSpace.push(space);
        asked.turn.push(need.turn);
      }
      for (const { collection, id } of need.documents ?? []) {
        const key = keyOf(collection, id);
        if (documents.has(key)) continue;
        documents.add(key);
        asked.documentSpace.push(space);
        asked.documentCollection.push(collection);
        asked.document.push(id);
      }
      for (const seq of need.seq?.seqs ?? []) {
        asked.seqSpace.push(space);
        asked.seqUser.push(need.seq?.userId);
        asked.seqDevice.push(need.seq?.device);
        asked.seq.push(seq);
      }
      if (need.device) {
        asked.deviceSpace.push(space);
        asked.deviceUser.push(need.device.userId);
        asked.device.push(need.device.id);
      }
      if (need.conflict !== undefined) {
        asked.conflictSpace.push(space);
        asked.conflict.push(need.conflict);
      }
      if (need.invitation !== undefined) {
        asked.invitationSpace.push(space);
        asked.invitation.push(need.invitation);
      }
      if (need.invited !== undefined) {
        asked.invitedSpace.push(space);
        asked.invited.push(need.invited);
      }
    }
    if (all.some(({ owners }) => owners)) asked.ownersSpace.push(space);
    if (all.some(({ newestConversation }) => newestConversation)) asked.newestSpace.push(space);
    if (all.some(({ openConflicts }) => openConflicts)) asked.openSpace.push(space);
  }
  return asked;
};

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
} as const satisfies Readonly<Record<string, readonly Column[]>>;
type Part = keyof typeof partColumns;
const partNames = Object.keys(partColumns) as Part[];

/**
 * One statement, so one snapshot and one round trip. The head is read in the same snapshot as the rows: when the events
 * are then admitted right behind it, nothing the decision saw can have changed in between. `{name}` is a column.
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
      'n_invited as (select * from unnest({invitedSpace}, {invited}) as n(space, user_id))',
    );
    selects.push(`(select json_agg(r) from (
     select ${columns.invitation('i')} from n_invitation n join invitation i using (space, id)
     union select ${columns.invitation('i')} from n_invited n join invitation i using (space, user_id)
     where i.accepted_by is null) r) as invitations`);
  }
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
