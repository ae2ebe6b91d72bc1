import { eventAdminSql, eventTablesSql, relayKindsSql } from '@skein/events';
import { idempotencyTableSql, type Migration } from '@skein/postgres';
import { participantTableSql, sagaTablesSql } from '@skein/saga';
import { archiveSql } from './archive-schema.ts';
import { healthRecordSql, invitationEnds, ledgerSql, personalInvitations } from './commit-extras.ts';
import { commitFunction, commitOnceFunction, keptCommitPlans } from './commit-units.ts';
import { erasureSql } from './erasure-schema.ts';
import { rebuildBoundSql, rebuildEndSql, rebuildSql } from './rebuild-schema.ts';

/** Hash partitions of the log. Fixed for good: rows do not move between partitions. */
const logPartitions = 8;

const partitions = Array.from(
  { length: logPartitions },
  (_, n) =>
    `create table event_${n} partition of event for values with (modulus ${logPartitions}, remainder ${n});`,
).join('\n');

const tables = `
create table space (
  id uuid primary key,
  kind text not null check (kind in ('personal', 'team')),
  title text not null,
  -- Random; changes only by re-anchoring and redaction. A reader's position is (epoch, offset).
  epoch text not null,
  -- The lowest offset still served.
  floor bigint not null default 1,
  created_by text not null,
  created_at_ms bigint not null
);

create table member (
  space uuid not null references space,
  user_id text collate "C" not null,
  role text not null check (role in ('owner', 'editor', 'viewer')),
  joined_at_ms bigint not null,
  primary key (space, user_id)
);
create index member_user on member (user_id, space);

create sequence event_global_seq;

-- The log: insert-only. (stream, "offset") is the optimistic lock and the only authority over a space. There is no
-- index on id: an event is found again by its position, and the id there tells whose it is.
create table event (
  stream uuid not null,
  "offset" bigint not null check ("offset" > 0),
  era smallint not null default 1,
  xid xid8 not null default pg_current_xact_id(),
  global_seq bigint not null default nextval('event_global_seq'),
  id uuid not null,
  type text not null,
  time_ms bigint not null,
  -- The public Event, whole and byte for byte as it was first encoded.
  json text not null,
  correlation_id text not null,
  traceparent text,
  primary key (stream, "offset")
) partition by hash (stream);
${partitions}
-- For readers over all streams: relay, projections.
create index event_order on event (era, xid, global_seq);
-- For a moment in time; next to free, because the log only grows.
create index event_time on event using brin (time_ms);

create table conversation (
  id uuid primary key,
  space uuid not null,
  title text not null,
  -- A fork names the conversation and the message it grew from.
  parent uuid,
  forked_at uuid,
  created_at_ms bigint not null,
  updated_at_ms bigint not null,
  head uuid,
  count bigint not null,
  "offset" bigint not null
);
create index conversation_recent on conversation (space, updated_at_ms desc, id desc);

create table message (
  id uuid primary key,
  space uuid not null,
  conversation_id uuid not null,
  role text not null check (role in ('user', 'assistant')),
  text text not null,
  "offset" bigint not null,
  time_ms bigint not null,
  user_id text collate "C",
  platform text not null,
  persona text not null,
  turn_id uuid,
  client_message_id text collate "C",
  state text not null check (state in ('complete', 'cancelled', 'failed')),
  -- JSON texts; null when there is none.
  attachments text,
  meta text,
  unique (space, user_id, client_message_id)
);
create unique index message_order on message (space, "offset");
create index message_conversation on message (conversation_id, "offset");

create table turn (
  id uuid primary key,
  space uuid not null,
  conversation_id uuid not null,
  -- The message that asks, and the one that will answer.
  message_id uuid not null,
  answer_id uuid not null,
  user_id text not null,
  persona text not null,
  state text not null check (state in ('queued', 'streaming', 'ended')),
  created_at_ms bigint not null,
  -- Of turn.started; 0 before.
  started_offset bigint not null
);
create index turn_open on turn (space) where state <> 'ended';
create index turn_open_age on turn (created_at_ms) where state <> 'ended';

-- Admits exactly one end of a turn.
create table turn_end (
  turn_id uuid primary key,
  outcome text not null check (outcome in ('completed', 'cancelled', 'failed')),
  "offset" bigint not null,
  time_ms bigint not null
);

create table document (
  space uuid not null,
  collection text collate "C" not null,
  id text collate "C" not null,
  version bigint not null check (version > 0),
  -- JSON text, byte for byte; of a tombstone the last value there was.
  value text not null,
  -- SHA-256 of the RFC 8785 form of the value, hex.
  hash text not null,
  -- Of the last event about it.
  "offset" bigint not null,
  -- JSON text {field path: {version, hlc}}. Text, because a key may hold what jsonb refuses.
  fields text not null,
  deleted boolean not null,
  updated_at_ms bigint not null,
  -- When the writer says it happened: what newest-wins of classic clients compares.
  client_time_ms bigint not null,
  primary key (space, collection, id)
);
create index document_offset on document (space, "offset");
create index document_id on document (space, id);

create table device (
  user_id text collate "C" not null,
  id text collate "C" not null,
  platform text not null,
  name text not null,
  last_seen_ms bigint not null,
  -- Whether it has announced itself; before that it was only seen.
  registered boolean not null,
  primary key (user_id, id)
);
create index device_seen on device (last_seen_ms);

create table device_space (
  space uuid not null,
  user_id text collate "C" not null,
  device text collate "C" not null,
  -- Advanced in the transaction of the mutation's effect.
  last_seq bigint not null default 0,
  acked_offset bigint not null default 0,
  acked_seq bigint not null default 0,
  primary key (space, user_id, device)
);

-- What became of each mutation, until its device acknowledges it.
create table mutation_result (
  space uuid not null,
  user_id text collate "C" not null,
  device text collate "C" not null,
  seq bigint not null,
  -- Of the mutation's RFC 8785 form: tells a repetition from a seq used twice.
  hash text not null,
  result text not null,
  primary key (space, user_id, device, seq)
);

create table conflict (
  id uuid primary key,
  space uuid not null,
  collection text collate "C" not null,
  document_id text collate "C" not null,
  -- Field path; empty for the whole document.
  field text not null,
  strategy text not null,
  -- open: a person must choose; settled: a strategy chose; resolved, undone: a person did.
  state text not null check (state in ('open', 'settled', 'resolved', 'undone')),
  winner text not null check (winner in ('server', 'client')),
  -- JSON texts of both sides.
  server_value text,
  client_value text,
  base_version bigint not null,
  server_version bigint not null,
  user_id text not null,
  device text not null,
  seq bigint,
  created_at_ms bigint not null
);
create index conflict_recent on conflict (space, created_at_ms desc, id desc);
create index conflict_open on conflict (space, collection, document_id) where state = 'open';
`;

/** A classic client may raise a version without an event; this one is what the last event about a document said. */
const loggedVersion = `
alter table document add column logged_version bigint;
update document set logged_version = version;
alter table document alter column logged_version set not null;
${commitFunction({ logged: true })}`;

/**
 * What a device has opened its session with: the logins and API tokens that end when the person removes it. A login
 * need not have named the device.
 */
const deviceLogins = `
create table device_login (
  user_id text collate "C" not null,
  device text collate "C" not null,
  kind text not null check (kind in ('session', 'token')),
  login text collate "C" not null,
  seen_ms bigint not null,
  primary key (user_id, device, kind, login)
);
create index device_login_seen on device_login (seen_ms);
`;

/**
 * After a restore devices may know more than the log: with a new epoch each begins with a snapshot instead of being
 * served other events under offsets it has seen.
 */
const newEpochs = `update space set epoch = replace(gen_random_uuid()::text, '-', '');`;

/** Conflicts say why and how they ended; people may be invited to spaces. */
const endsAndInvitations = `
alter table conflict add column resolver text not null default '', add column client_hash text not null default '',
  add column version bigint, add column choice text check (choice in ('server', 'client', 'value')),
  add column closed_version bigint, add column closed_at_ms bigint, add column closed_by text;
update conflict set version = server_version;
alter table conflict alter column version set not null;
-- For what is not kept for good.
create index conflict_ended on conflict (collection, created_at_ms) where state <> 'open';
create index document_tombstone on document (collection, updated_at_ms) where deleted;

create table invitation (
  id uuid primary key,
  space uuid not null references space,
  role text not null check (role in ('editor', 'viewer')),
  code text collate "C" not null unique,
  -- Only an account of this address may use it; null: whoever has the code.
  email text collate "C",
  created_by text collate "C" not null,
  created_at_ms bigint not null,
  expires_at_ms bigint not null,
  accepted_by text collate "C"
);
create index invitation_space on invitation (space, id);
create index invitation_expiry on invitation (expires_at_ms);
${commitFunction({ logged: true, ended: true })}`;

/** Where the state stood in the log, so that an old one need not be replayed from the first event. */
const checkpoints = `
create table state_checkpoint (
  space uuid not null,
  "offset" bigint not null,
  -- Of the event at the offset.
  time_ms bigint not null,
  -- JSON text of ids and offsets: what was said and written stays in the log alone.
  contents text not null,
  primary key (space, "offset")
);
`;

/**
 * The schema's history. The steps here were taken before the first release, so they run on empty tables, and may rewrite
 * and index them under their locks. A step after it must not: columns with a constant default, `not valid` constraints,
 * and rows and indexes made in batches while the service runs.
 */
export const migrations: readonly Migration[] = [
  {
    version: 1,
    name: 'the log and what is derived from it',
    sql: `${tables}${commitFunction({ logged: false })}`,
  },
  { version: 2, name: 'relay, inbox and dead letters', sql: eventTablesSql },
  { version: 3, name: 'the version of the last event about a document', sql: loggedVersion },
  { version: 4, name: 'the logins of a device', sql: deviceLogins },
  { version: 5, name: 'idempotency keys', sql: `${idempotencyTableSql}${commitOnceFunction}` },
  { version: 6, name: 'care of the relay', sql: eventAdminSql({ log: 'event', reanchored: newEpochs }) },
  { version: 7, name: 'ends of conflicts, and invitations', sql: endsAndInvitations },
  { version: 8, name: 'the integrity ledger of health records', sql: ledgerSql },
  {
    version: 9,
    name: 'sagas, and health records on their way',
    sql: `${sagaTablesSql}${participantTableSql}${healthRecordSql}`,
  },
  { version: 10, name: 'checkpoints of past states', sql: checkpoints },
  {
    version: 11,
    name: 'the archive of the log',
    sql: `${archiveSql}${commitFunction({ logged: true, ended: true, archived: true })}`,
  },
  { version: 12, name: 'erasing people', sql: erasureSql },
  { version: 13, name: 'the rebuilding of read models', sql: rebuildSql },
  { version: 14, name: 'the end of a rebuild', sql: rebuildEndSql },
  { version: 15, name: 'invitations for one person', sql: personalInvitations },
  { version: 16, name: 'kept plans of a commit', sql: keptCommitPlans },
  { version: 17, name: 'ends of invitations', sql: invitationEnds },
  { version: 18, name: 'the bound of a rebuild', sql: rebuildBoundSql },
  { version: 19, name: 'what a relay publishes', sql: relayKindsSql },
];
