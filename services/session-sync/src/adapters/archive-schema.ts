/** Events of one row of the archive, and bytes of their JSON: what reading a single one of them costs at most. */
export const chunkEvents = 512;
const chunkBytes = 256 * 1024;

/**
 * The cold part of the log: what is older than a time, a few hundred events a row, which Postgres keeps compressed.
 * `archive_events` moves the oldest events of a stream there and returns how many it moved. It leaves alone the last
 * event of a stream, because the head is read there, and what the relay has not published yet. It deletes first and
 * keeps what the deletion gave, so that a redaction of the same moment is in the copy; who redacts events has the
 * exclusive lock of the stream, or would miss those on their way.
 */
export const archiveSql = `
create table event_archive (
  stream uuid not null,
  -- Offsets of the first and the last event of the row; none is missing between them.
  first bigint not null,
  last bigint not null,
  oldest_ms bigint not null,
  bytes bigint not null,
  ids uuid[] not null,
  types text[] not null,
  times bigint[] not null,
  -- The public Events, byte for byte.
  events text[] not null,
  correlation_ids text[] not null,
  primary key (stream, last)
);

create function archive_events(p_stream uuid, p_relay text, p_before_ms bigint) returns int language plpgsql as $body$
declare
  from_offset bigint;
  to_offset bigint;
  tail bigint;
  moved int;
begin
  perform pg_advisory_xact_lock_shared(hashtextextended(p_stream::text, 0));

  with page as (
    select e."offset", e.time_ms, (e.era, e.xid, e.global_seq) <= (r.era, r.xid, r.seq) as published,
      sum(octet_length(e.json)) over (order by e."offset") - octet_length(e.json) as before
    from (select * from event where stream = p_stream order by "offset" limit ${chunkEvents}) e
    left join relay r on r.name = p_relay
  ), stays as (
    select min("offset") as at from page
    where time_ms >= p_before_ms or published is not true or before >= ${chunkBytes}
  )
  select min("offset"), max("offset") into from_offset, to_offset from page
  where "offset" < coalesce((select at from stays), ${Number.MAX_SAFE_INTEGER})
    and "offset" < (select "offset" from event where stream = p_stream order by "offset" desc limit 1);
  if from_offset is null then
    return 0;
  end if;

  -- A row that has room goes on.
  select last into tail from event_archive a
  where a.stream = p_stream and a.last = from_offset - 1
    and a.last - a.first + 1 + to_offset - from_offset + 1 <= ${chunkEvents} and a.bytes < ${chunkBytes};

  with gone as (
    delete from event where stream = p_stream and "offset" between from_offset and to_offset
    returning "offset", id, type, time_ms, json, correlation_id
  ), begun as (
    delete from event_archive where stream = p_stream and last = tail returning *
  ), moving as (
    select b.first + n.place - 1 as "offset", n.id, n.type, n.time_ms, n.json, n.correlation_id
    from begun b cross join lateral unnest(b.ids, b.types, b.times, b.events, b.correlation_ids) with ordinality
      as n(id, type, time_ms, json, correlation_id, place)
    union all select * from gone
  )
  insert into event_archive
  select p_stream, min("offset"), max("offset"), min(time_ms), sum(octet_length(json)), array_agg(id order by "offset"),
    array_agg(type order by "offset"), array_agg(time_ms order by "offset"), array_agg(json order by "offset"),
    array_agg(correlation_id order by "offset")
  from moving
  having count(*) = max("offset") - min("offset") + 1;
  if not found then
    raise exception 'the log of % has a hole between % and %', p_stream, from_offset, to_offset;
  end if;
  return to_offset - from_offset + 1;
end
$body$;
`;
