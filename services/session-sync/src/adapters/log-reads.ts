import { chunkEvents } from './archive-schema.ts';

// The log of a stream is in two places, the older part in the archive. Whoever reads it by position reads both in one
// statement, so in one snapshot: what is being moved is seen once. All arguments are SQL expressions.

/** Events of a stream with offsets in (after, upto]: "offset", id, type, time_ms, json; in no order. */
export const logRange = (stream: string, after: string, upto: string): string => `(
  select e."offset", e.id, e.type, e.time_ms, e.json from event e
  where e.stream = ${stream} and e."offset" > ${after} and e."offset" <= ${upto}
  union all
  select a.first + n.place - 1, n.id, n.type, n.time_ms, n.json
  from event_archive a cross join lateral unnest(a.ids, a.types, a.times, a.events) with ordinality
    as n(id, type, time_ms, json, place)
  -- Rows have no gaps between them and are so long at most: both ends are found in the index.
  where a.stream = ${stream} and a.last > ${after} and a.last < ${upto} + ${chunkEvents} and a.first <= ${upto}
    and a.first + n.place - 1 > ${after} and a.first + n.place - 1 <= ${upto})`;

/** Events of a stream at `offsets`, an array: place in it (from 1), "offset", id, time_ms, json; in no order. */
export const logAt = (stream: string, offsets: string): string => `(
  with wanted as materialized (select * from unnest(${offsets}) with ordinality as w("offset", place)),
  held as materialized (
    select distinct h.last from wanted w cross join lateral
      (select a.last, a.first from event_archive a where a.stream = ${stream} and a.last >= w."offset"
       order by a.last limit 1) h
    where h.first <= w."offset"
  )
  select w.place, e."offset", e.id, e.time_ms, e.json
  from wanted w join event e on e.stream = ${stream} and e."offset" = w."offset"
  union all
  select w.place, w."offset", n.id, n.time_ms, n.json
  from held h join event_archive a on a.stream = ${stream} and a.last = h.last
  cross join lateral unnest(a.ids, a.times, a.events) with ordinality as n(id, time_ms, json, place)
  join wanted w on w."offset" = a.first + n.place - 1)`;
