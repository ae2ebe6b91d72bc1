import { eventTablesSql } from '@skein/events';
import type { Migration } from '@skein/postgres';

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

/**
 * Writes the units of several streams in one statement, so in one transaction and one round trip. Locks are taken
 * in one order everywhere (advisory, log, seqs, documents; each sorted), so two replicas cannot deadlock. When a
 * guard fails nothing is written and the error (SQLSTATE SK001) names the losing streams, comma-separated, in its
 * DETAIL. The shared advisory locks cost next to nothing and let a writer that lost too often have a stream alone.
 */
const commitFunction = ({ logged }: { readonly logged: boolean }) => `
create ${logged ? 'or replace ' : ''}function commit_units(
  p_streams uuid[], p_stream uuid[], p_offset bigint[], p_id uuid[], p_type text[], p_time bigint[], p_json text[],
  p_correlation text[], p_traceparent text[], p_seqs json, p_documents json, p_conversations json, p_messages json,
  p_turns json, p_turn_ends json, p_results json, p_conflicts json, p_members json, p_devices json
) returns void language plpgsql as $body$
declare
  stream_id uuid;
  losers text;
begin
  foreach stream_id in array p_streams loop
    perform pg_advisory_xact_lock_shared(hashtextextended(stream_id::text, 0));
  end loop;

  with wanted as (
    select * from unnest(p_stream, p_offset, p_id, p_type, p_time, p_json, p_correlation, p_traceparent)
      as e(stream, at, id, type, time_ms, json, correlation_id, traceparent)
  ), stored as (
    insert into event (stream, "offset", id, type, time_ms, json, correlation_id, traceparent)
    select stream, at, id, type, time_ms, json, correlation_id, traceparent from wanted
    on conflict (stream, "offset") do nothing
    returning stream, "offset" as at
  )
  select string_agg(distinct w.stream::text, ',') into losers
  from wanted w left join stored s on s.stream = w.stream and s.at = w.at where s.at is null;
  if losers is not null then
    raise exception 'the log moved on' using errcode = 'SK001', detail = losers;
  end if;

  if p_seqs is not null then
    with wanted as (
      select * from json_to_recordset(p_seqs)
        as r(space uuid, "userId" text, device text, expected bigint, "lastSeq" bigint)
    ), stored as (
      insert into device_space as d (space, user_id, device, last_seq)
      select space, "userId", device, "lastSeq" from wanted
      on conflict (space, user_id, device) do update set last_seq = excluded.last_seq
        where d.last_seq = (select w.expected from wanted w where w.space = d.space
          and w."userId" = d.user_id and w.device = d.device)
      returning space, user_id, device
    )
    select string_agg(distinct w.space::text, ',') into losers
    from wanted w left join stored s on s.space = w.space and s.user_id = w."userId" and s.device = w.device
    where s.space is null;
    if losers is not null then
      raise exception 'a device moved on' using errcode = 'SK001', detail = losers;
    end if;
  end if;

  if p_documents is not null then
    with wanted as (
      select * from json_to_recordset(p_documents)
        as r(space uuid, collection text, id text, version bigint, value text, hash text, "offset" bigint,
          fields text, deleted boolean, "updatedAtMs" bigint, "clientTimeMs" bigint, expected bigint${logged ? ', "loggedVersion" bigint' : ''})
    ), stored as (
      insert into document as d (space, collection, id, version, value, hash, "offset", fields, deleted,
        updated_at_ms, client_time_ms${logged ? ', logged_version' : ''})
      select space, collection, id, version, value, hash, "offset", fields, deleted, "updatedAtMs", "clientTimeMs"
        ${logged ? ', coalesce("loggedVersion", version)' : ''}
      from wanted
      on conflict (space, collection, id) do update set version = excluded.version, value = excluded.value,
        hash = excluded.hash, "offset" = excluded."offset", fields = excluded.fields, deleted = excluded.deleted,
        updated_at_ms = excluded.updated_at_ms, client_time_ms = excluded.client_time_ms
        ${logged ? ', logged_version = excluded.logged_version' : ''}
        where d.version = (select w.expected from wanted w where w.space = d.space
          and w.collection = d.collection and w.id = d.id)
      returning space, collection, id
    )
    select string_agg(distinct w.space::text, ',') into losers
    from wanted w left join stored s on s.space = w.space and s.collection = w.collection and s.id = w.id
    where s.space is null;
    if losers is not null then
      raise exception 'a document moved on' using errcode = 'SK001', detail = losers;
    end if;
  end if;

  if p_turn_ends is not null then
    with wanted as (
      select * from json_to_recordset(p_turn_ends)
        as r(space uuid, "turnId" uuid, outcome text, "offset" bigint, "timeMs" bigint)
    ), stored as (
      insert into turn_end (turn_id, outcome, "offset", time_ms)
      select "turnId", outcome, "offset", "timeMs" from wanted
      on conflict (turn_id) do nothing
      returning turn_id
    )
    select string_agg(distinct w.space::text, ',') into losers
    from wanted w left join stored s on s.turn_id = w."turnId" where s.turn_id is null;
    if losers is not null then
      raise exception 'the turn has ended' using errcode = 'SK001', detail = losers;
    end if;
  end if;

  if p_messages is not null then
    with wanted as (
      select * from json_to_recordset(p_messages)
        as r(id uuid, space uuid, "conversationId" uuid, role text, text text, "offset" bigint, "timeMs" bigint,
          "userId" text, platform text, persona text, "turnId" uuid, "clientMessageId" text, state text,
          attachments text, meta text)
    ), stored as (
      insert into message (id, space, conversation_id, role, text, "offset", time_ms, user_id, platform, persona,
        turn_id, client_message_id, state, attachments, meta)
      select id, space, "conversationId", role, text, "offset", "timeMs", "userId", platform, persona, "turnId",
        "clientMessageId", state, attachments, meta from wanted
      on conflict do nothing
      returning id
    )
    select string_agg(distinct w.space::text, ',') into losers
    from wanted w left join stored s on s.id = w.id where s.id is null;
    if losers is not null then
      raise exception 'the message is there' using errcode = 'SK001', detail = losers;
    end if;
  end if;

  if p_conversations is not null then
    insert into conversation (id, space, title, parent, forked_at, created_at_ms, updated_at_ms, head, count, "offset")
    select id, space, title, parent, "forkedAt", "createdAtMs", "updatedAtMs", head, count, "offset"
    from json_to_recordset(p_conversations)
      as r(id uuid, space uuid, title text, parent uuid, "forkedAt" uuid, "createdAtMs" bigint,
        "updatedAtMs" bigint, head uuid, count bigint, "offset" bigint)
    on conflict (id) do update set title = excluded.title, updated_at_ms = excluded.updated_at_ms,
      head = excluded.head, count = excluded.count, "offset" = excluded."offset";
  end if;

  if p_turns is not null then
    insert into turn (id, space, conversation_id, message_id, answer_id, user_id, persona, state, created_at_ms,
      started_offset)
    select id, space, "conversationId", "messageId", "answerId", "userId", persona, state, "createdAtMs",
      "startedOffset"
    from json_to_recordset(p_turns)
      as r(id uuid, space uuid, "conversationId" uuid, "messageId" uuid, "answerId" uuid, "userId" text,
        persona text, state text, "createdAtMs" bigint, "startedOffset" bigint)
    on conflict (id) do update set state = excluded.state, started_offset = excluded.started_offset;
  end if;

  if p_results is not null then
    insert into mutation_result (space, user_id, device, seq, hash, result)
    select space, "userId", device, seq, hash, result
    from json_to_recordset(p_results)
      as r(space uuid, "userId" text, device text, seq bigint, hash text, result text);
  end if;

  if p_conflicts is not null then
    insert into conflict (id, space, collection, document_id, field, strategy, state, winner, server_value,
      client_value, base_version, server_version, user_id, device, seq, created_at_ms)
    select id, space, collection, "documentId", field, strategy, state, winner, "serverValue", "clientValue",
      "baseVersion", "serverVersion", "userId", device, seq, "createdAtMs"
    from json_to_recordset(p_conflicts)
      as r(id uuid, space uuid, collection text, "documentId" text, field text, strategy text, state text,
        winner text, "serverValue" text, "clientValue" text, "baseVersion" bigint, "serverVersion" bigint,
        "userId" text, device text, seq bigint, "createdAtMs" bigint)
    on conflict (id) do update set state = excluded.state, winner = excluded.winner;
  end if;

  if p_members is not null then
    delete from member m using json_to_recordset(p_members) as r(space uuid, "userId" text, role text)
      where r.role is null and m.space = r.space and m.user_id = r."userId";
    insert into member (space, user_id, role, joined_at_ms)
    select space, "userId", role, "joinedAtMs"
    from json_to_recordset(p_members) as r(space uuid, "userId" text, role text, "joinedAtMs" bigint)
    where role is not null
    on conflict (space, user_id) do update set role = excluded.role;
  end if;

  if p_devices is not null then
    insert into device (user_id, id, platform, name, last_seen_ms, registered)
    select "userId", id, platform, name, "lastSeenMs", registered
    from json_to_recordset(p_devices)
      as r("userId" text, id text, platform text, name text, "lastSeenMs" bigint, registered boolean)
    on conflict (user_id, id) do update set platform = excluded.platform, name = excluded.name,
      registered = excluded.registered,
      last_seen_ms = greatest(device.last_seen_ms, excluded.last_seen_ms);
  end if;
end
$body$;
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

/** The schema's history. */
export const migrations: readonly Migration[] = [
  {
    version: 1,
    name: 'the log and what is derived from it',
    sql: `${tables}${commitFunction({ logged: false })}`,
  },
  { version: 2, name: 'relay, inbox and dead letters', sql: eventTablesSql },
  { version: 3, name: 'the version of the last event about a document', sql: loggedVersion },
  { version: 4, name: 'the logins of a device', sql: deviceLogins },
];
