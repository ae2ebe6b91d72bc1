import { idempotencyTtlHours } from '@skein/postgres';

/** Until conflicts could end and invitations bring members. */
const plainConflicts = `  if p_conflicts is not null then
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

`;

/** Rows of conflicts, and of their ends (which have no collection); members, some by an invitation each. */
const endedConflicts = `  if p_conflicts is not null then
    insert into conflict (id, space, collection, document_id, field, strategy, resolver, state, winner, server_value,
      client_value, client_hash, base_version, server_version, version, user_id, device, seq, created_at_ms)
    -- A program of the version before does not say why, nor the version after.
    select id, space, collection, "documentId", field, strategy, coalesce(resolver, ''), state, winner, "serverValue",
      "clientValue", coalesce("clientHash", ''), "baseVersion", "serverVersion", coalesce(version, "serverVersion"),
      "userId", device, seq, "createdAtMs"
    from json_to_recordset(p_conflicts)
      as r(id uuid, space uuid, collection text, "documentId" text, field text, strategy text, resolver text,
        state text, winner text, "serverValue" text, "clientValue" text, "clientHash" text, "baseVersion" bigint,
        "serverVersion" bigint, version bigint, "userId" text, device text, seq bigint, "createdAtMs" bigint)
    where collection is not null
    -- A write without an event has no guard in the log: sent again after a lost answer, it finds its own row.
    on conflict (id) do nothing;
    update conflict c set state = r.state, choice = r.choice, closed_version = r."closedVersion",
      closed_at_ms = r."closedAtMs", closed_by = r."closedBy"
    from json_to_recordset(p_conflicts)
      as r(id uuid, collection text, state text, choice text, "closedVersion" bigint, "closedAtMs" bigint,
        "closedBy" text)
    where r.collection is null and c.id = r.id;
  end if;

  if p_members is not null then
    with wanted as (
      select space, invitation, "userId" from json_to_recordset(p_members)
        as r(space uuid, invitation uuid, "userId" text) where invitation is not null
    ), used as (
      update invitation i set accepted_by = w."userId" from wanted w
      where i.id = w.invitation and i.accepted_by is null
      returning i.id
    )
    select string_agg(distinct w.space::text, ',') into losers
    from wanted w left join used u on u.id = w.invitation where u.id is null;
    if losers is not null then
      raise exception 'the invitation is gone' using errcode = 'SK001', detail = losers;
    end if;
    delete from member m using json_to_recordset(p_members) as r(space uuid, "userId" text, role text)
      where r.role is null and m.space = r.space and m.user_id = r."userId";
    insert into member (space, user_id, role, joined_at_ms)
    select space, "userId", role, "joinedAtMs"
    from json_to_recordset(p_members) as r(space uuid, "userId" text, role text, "joinedAtMs" bigint)
    where role is not null
    on conflict (space, user_id) do update set role = excluded.role;
  end if;

`;

/** An offset whose event is in the archive is taken as well. In this form it is looked up in the index, always. */
const notArchived = `
    where coalesce((select false from event_archive a where a.stream = w.stream and a.last >= w.at limit 1), true)`;

/**
 * Writes the units of several streams in one statement, so in one transaction and one round trip. Locks are taken
 * in one order everywhere (advisory, log, seqs, documents; each sorted), so two replicas cannot deadlock. When a
 * guard fails nothing is written and the error (SQLSTATE SK001) names the losing streams, comma-separated, in its
 * DETAIL. The shared advisory locks cost next to nothing and let a writer that lost too often have a stream alone.
 */
export const commitFunction = ({
  logged,
  ended = false,
  archived = false,
}: {
  readonly logged: boolean;
  readonly ended?: boolean;
  readonly archived?: boolean;
}) => `
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
    select stream, at, id, type, time_ms, json, correlation_id, traceparent from wanted${archived ? ` w${notArchived}` : ''}
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

${ended ? endedConflicts : plainConflicts}  if p_devices is not null then
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

/**
 * The same, and the answers of requests with an idempotency key go with it. Keys are locked last and sorted, so the
 * order of locks stays one. A key that somebody else has used meanwhile is a guard like the others.
 */
export const commitOnceFunction = `
create function commit_once(
  p_requests json,
  p_streams uuid[], p_stream uuid[], p_offset bigint[], p_id uuid[], p_type text[], p_time bigint[], p_json text[],
  p_correlation text[], p_traceparent text[], p_seqs json, p_documents json, p_conversations json, p_messages json,
  p_turns json, p_turn_ends json, p_results json, p_conflicts json, p_members json, p_devices json
) returns void language plpgsql as $body$
declare
  losers text;
begin
  perform commit_units(p_streams, p_stream, p_offset, p_id, p_type, p_time, p_json, p_correlation, p_traceparent,
    p_seqs, p_documents, p_conversations, p_messages, p_turns, p_turn_ends, p_results, p_conflicts, p_members,
    p_devices);

  with wanted as (
    select * from json_to_recordset(p_requests)
      as r(space uuid, "userId" text, method text, key text, "bodyHash" text, result text)
  ), stored as (
    insert into idempotency_keys as k (scope, method, key, body_hash, result)
    select distinct on ("userId", method, key) "userId", method, key, "bodyHash", result
    from wanted order by "userId", method, key, space
    on conflict (scope, method, key) do update
      set body_hash = excluded.body_hash, result = excluded.result, created_at = now()
      where k.created_at <= now() - make_interval(hours => ${idempotencyTtlHours})
    returning scope, method, key, body_hash
  )
  select string_agg(distinct w.space::text, ',') into losers
  from wanted w left join stored s on s.scope = w."userId" and s.method = w.method and s.key = w.key
    and s.body_hash = w."bodyHash"
  where s.scope is null;
  if losers is not null then
    raise exception 'the request was answered meanwhile' using errcode = 'SK001', detail = losers;
  end if;
end
$body$;
`;

/**
 * Events come as arrays, whose length Postgres would plan for: a new plan for each commit, which took longer than writing
 * them. The statements are the same for any number of rows, so their plans are kept.
 */
export const keptCommitPlans = `
alter function commit_units set plan_cache_mode = 'force_generic_plan'`;
