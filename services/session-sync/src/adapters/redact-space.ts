import type { Database, Queryable, Tx } from '@skein/postgres';
import { type Json, type Sha256, valueHash } from '@skein/sync-core';
import type { Ids } from '../app/ports.ts';
import { withoutSides } from '../domain/conflict-row.ts';
import {
  erasedPlatform,
  erasedType,
  factsOf,
  type ReadEvent,
  type Redaction,
  redaction,
  resultWithoutValue,
  stampsWithout,
} from '../domain/erasure.ts';
import { commitmentOf, genesis, type LedgerRecord, ledgerCollection, linkOf } from '../domain/ledger.ts';
import { type ConflictRow, keyOf } from '../domain/state.ts';
import { answeredWithin } from './answered-within.ts';
import { columns } from './columns.ts';
import { logAt, logRange } from './log-reads.ts';
import { idsOf, ownEvents } from './person-in-space.ts';

/** What is redacted: one person in one space, and the answers of others that quote them. */
export interface RedactedPart {
  readonly space: string;
  readonly userId: string;
  readonly quoted: readonly string[];
}

interface Options {
  readonly database: Database;
  readonly ids: Ids;
  readonly sha256: Sha256;
}

/** Events of one page: so many, and no more bytes than this but for the first. */
const pageEvents = 1_000;
const pageBytes = 8_000_000;
/** Documents that are followed at once; what is left comes in a further round. */
const followed = 500;
/** A person may have written a great part of a large space, and it changes at one moment. */
const settleTimeoutMs = 240_000;
/** The server's own bound comes first; its answer has a moment to arrive. */
const answerMs = settleTimeoutMs + 3_000;

type Found<T> = T & Record<string, unknown>;

/** Pages of the log after an offset, in its order, of both of its parts. */
async function* log(db: Queryable, space: string, from: number, signal: AbortSignal) {
  for (let after = from; ; ) {
    signal.throwIfAborted();
    const rows = await db.query<Found<ReadEvent>>(
      `select "offset", type, json from (
         select "offset", type, json, sum(octet_length(json)) over (order by "offset") - octet_length(json) as before
         from ${logRange('$1', '$2::bigint', `($2::bigint + ${pageEvents})`)} page) sized
       where before < ${pageBytes} order by "offset"`,
      [space, after],
    );
    const last = rows.at(-1);
    if (!last) return;
    yield rows;
    after = last.offset;
  }
}

const saveDrafts = (db: Queryable, space: string, drafts: readonly ReadEvent[]) =>
  db.query(
    `insert into redaction (space, "offset", type, json)
     select $1, * from unnest($2::bigint[], $3::text[], $4::text[])`,
    [
      space,
      drafts.map(({ offset }) => offset),
      drafts.map(({ type }) => type),
      drafts.map(({ json }) => json),
    ],
  );

/** Goes on through the log and keeps what its events become; returns how far it got. */
const follow = async (
  db: Queryable,
  space: string,
  from: number,
  redacted: Redaction,
  signal: AbortSignal,
): Promise<number> => {
  let at = from;
  for await (const rows of log(db, space, from, signal)) {
    const drafts = rows.flatMap((row) => redacted.event(row) ?? []);
    if (drafts.length > 0) await saveDrafts(db, space, drafts);
    at = rows.at(-1)?.offset ?? at;
  }
  return at;
};

const documentsWithout = async (
  tx: Tx,
  { space, userId }: RedactedPart,
  redacted: Redaction,
  hashOf: (value: Json) => string,
): Promise<void> => {
  for (const [key, trace] of redacted.traces) {
    const [collection = '', id = ''] = key.split('\u0000');
    const place = [space, collection, id];
    if (trace.alone) {
      await tx.query('delete from document where space = $1 and collection = $2 and id = $3', place);
      await tx.query('delete from conflict where space = $1 and collection = $2 and document_id = $3', place);
      await tx.query(
        `insert into redaction (space, "offset", type, json)
         select $1, "offset", '${erasedType}', '{"id":"' || id || '","type":"${erasedType}","time":' || time_ms
           || ',"actor":{"kind":"system","platform":"skein"},"data":{}}'
         from ${logAt('$1', '$2::bigint[]')} e
         on conflict (space, "offset") do update set type = excluded.type, json = excluded.json`,
        [space, redacted.offsetsOf(key)],
      );
      continue;
    }
    const [row] = await tx.query<{ fields: string; deleted: boolean }>(
      'select fields, deleted from document where space = $1 and collection = $2 and id = $3',
      place,
    );
    if (!row) continue;
    // Of a deleted document nobody needs the last value.
    const value = row.deleted ? null : trace.last;
    await tx.query(
      `update document set value = $4, hash = $5, fields = $6
       where space = $1 and collection = $2 and id = $3`,
      [...place, JSON.stringify(value), hashOf(value), stampsWithout(userId, row.fields, value)],
    );
    const conflicts = await tx.query<ConflictRow & Record<string, unknown>>(
      `select ${columns.conflict('c')} from conflict c where space = $1 and collection = $2 and document_id = $3`,
      place,
    );
    for (const conflict of conflicts) {
      const left = withoutSides(conflict, (side) => trace.holds(JSON.parse(side) as Json));
      if (left)
        await tx.query(
          'update conflict set state = $2, server_value = $3, client_value = $4, client_hash = $5 where id = $1',
          [conflict.id, left.state, left.serverValue, left.clientValue, left.clientHash],
        );
      else await tx.query('delete from conflict where id = $1', [conflict.id]);
    }
  }
};

/** What the ledger says of records the person had a part in is gone; of those that are left it says anew what they are. */
const ledgerWithout = async (
  tx: Tx,
  { space }: RedactedPart,
  redacted: Redaction,
  { ids, sha256 }: Pick<Options, 'ids' | 'sha256'>,
): Promise<void> => {
  const touched = new Set(
    [...redacted.traces.keys()].flatMap((key) => {
      const [collection, id = ''] = key.split('\u0000');
      return collection === ledgerCollection ? [id] : [];
    }),
  );
  if (touched.size === 0) return;
  const entries = await tx.query<{ position: number; record: string }>(
    'select position, record from ledger_entry where space = $1 and record is not null',
    [space],
  );
  const erased = entries
    .filter(({ record }) => touched.has((JSON.parse(record) as LedgerRecord).id))
    .map(({ position }) => position);
  await tx.query(
    'update ledger_entry set salt = null, record = null where space = $1 and position = any($2::bigint[])',
    [space, erased],
  );
  await tx.query('delete from document where space = $1 and collection = $2 and id = any($3) and deleted', [
    ...[space, ledgerCollection, [...touched]],
  ]);
  const left = await tx.query<{ id: string; version: number; hash: string; offset: number; timeMs: number }>(
    `select id, logged_version as version, hash, "offset", updated_at_ms as "timeMs" from document
     where space = $1 and collection = $2 and id = any($3) order by id`,
    [space, ledgerCollection, [...touched]],
  );
  const [head] = await tx.query<{ position: number; hash: string }>(
    'select position, hash from ledger_entry where space = $1 order by position desc limit 1',
    [space],
  );
  let { position, hash } = head ?? { position: 0, hash: genesis(sha256, space) };
  for (const { id, version, hash: valueIs, offset, timeMs } of left) {
    position += 1;
    const record: LedgerRecord = { position, kind: 'recorded', id, version, hash: valueIs, offset, timeMs };
    const sealed = { salt: ids.code(), record: JSON.stringify(record) };
    const commitment = commitmentOf(sha256, sealed.salt, sealed.record);
    hash = linkOf(sha256, hash, commitment);
    await tx.query(
      `insert into ledger_entry (space, position, hash, commitment, salt, record) values ($1, $2, $3, $4, $5, $6)`,
      [space, position, hash, commitment, sealed.salt, sealed.record],
    );
  }
};

/** Events become what waits for them, in both parts of the log. `$1` the space. */
const eventsBecome = [
  `update event e set type = r.type, json = r.json, correlation_id = e.id::text, traceparent = null
   from redaction r where r.space = $1 and e.stream = $1 and e."offset" = r."offset"`,
  `update event_archive a set types = n.types, events = n.events, correlation_ids = n.correlation_ids, bytes = n.bytes
   from (
     select a.last, array_agg(coalesce(r.type, e.type) order by e.place) as types,
       array_agg(coalesce(r.json, e.json) order by e.place) as events,
       array_agg(case when r.json is null then e.correlation_id else e.id::text end order by e.place)
         as correlation_ids,
       sum(octet_length(coalesce(r.json, e.json))) as bytes
     from event_archive a
     cross join lateral unnest(a.ids, a.types, a.events, a.correlation_ids) with ordinality
       as e(id, type, json, correlation_id, place)
     left join redaction r on r.space = a.stream and r."offset" = a.first + e.place - 1
     where a.stream = $1 and exists (
       select 1 from redaction d where d.space = $1 and d."offset" between a.first and a.last)
     group by a.last) n
   where a.stream = $1 and a.last = n.last`,
];

/** Rows that go or lose their words with the person, of one space. `$1` the space, `$2` the person. */
const rowsOfPerson = [
  'delete from conflict where space = $1 and user_id = $2',
  'delete from mutation_result where space = $1 and user_id = $2',
  'delete from device_space where space = $1 and user_id = $2',
  `update turn set persona = '' where space = $1 and user_id = $2`,
  `update message set text = '', platform = '${erasedPlatform}', persona = '', client_message_id = null,
     attachments = null, meta = null where space = $1 and user_id = $2`,
];

const othersResults = async (tx: Tx, { space }: RedactedPart): Promise<void> => {
  const rows = await tx.query<{ userId: string; device: string; seq: number; result: string }>(
    `select user_id as "userId", device, seq, result from mutation_result
     where space = $1 and strpos(result, '"value"') > 0`,
    [space],
  );
  for (const { userId, device, seq, result } of rows)
    await tx.query(
      'update mutation_result set result = $5 where space = $1 and user_id = $2 and device = $3 and seq = $4',
      [space, userId, device, seq, resultWithoutValue(result)],
    );
};

/** Everything at one moment, while nobody else can write to the space. */
const settle = (
  options: Options,
  part: RedactedPart,
  { redacted, at, turns }: { redacted: Redaction; at: number; turns: string[] },
  signal: AbortSignal,
): Promise<void> =>
  options.database.transaction(
    async (begun) => {
      const { space, userId } = part;
      const tx = answeredWithin(begun, answerMs);
      const hashOf = (value: Json) => valueHash(value, options.sha256);
      await tx.query(`set local statement_timeout = ${settleTimeoutMs}`);
      await tx.query(`set local transaction_timeout = ${settleTimeoutMs}`);
      await tx.query('select pg_advisory_xact_lock(hashtextextended($1::text, 0))', [space]);
      const head = await follow(tx, space, at, redacted, signal);
      await documentsWithout(tx, part, redacted, hashOf);
      await ledgerWithout(tx, part, redacted, options);
      for (const statement of eventsBecome) await tx.query(statement, [space]);
      await tx.query('delete from redaction where space = $1', [space]);
      for (const statement of rowsOfPerson) await tx.query(statement, [space, userId]);
      await tx.query(
        `update message set text = '', persona = '', meta = null
         where space = $1 and role = 'assistant' and turn_id = any($2::uuid[])`,
        [space, turns],
      );
      await tx.query(`update conversation set title = '' where space = $1 and id = any($2::uuid[])`, [
        ...[space, [...redacted.titled]],
      ]);
      await othersResults(tx, part);
      await tx.query('delete from state_checkpoint where space = $1', [space]);
      // One event more: whoever decided on what was there before has to decide again.
      await tx.query(
        `insert into event (stream, "offset", id, type, time_ms, json, correlation_id)
         select $1, $2, n.id, 'space.changed', n.ms, '{"id":"' || n.id || '","type":"space.changed","time":' || n.ms
           || ',"actor":{"kind":"system","platform":"skein"},"data":{}}', n.id::text
         from (select $3::uuid as id, (extract(epoch from now()) * 1000)::bigint as ms) n`,
        [space, head + 1, options.ids.next()],
      );
      await tx.query('update space set epoch = $2 where id = $1', [space, options.ids.epoch()]);
    },
    { signal },
  );

/** Takes a person out of a space they shared; see `Erasures.redact`. */
export const redactSpace = async (
  options: Options,
  part: RedactedPart,
  signal: AbortSignal,
): Promise<void> => {
  const { database, sha256 } = options;
  const { space, userId, quoted } = part;
  const documents = new Set<string>();
  let fresh = quoted.length > 0;
  await ownEvents(
    database,
    space,
    userId,
    (json) => {
      const facts = factsOf(userId, json);
      if (facts.document !== undefined) documents.add(facts.document);
      fresh ||= facts.fresh;
    },
    signal,
  );
  const values = await database.query<{ collection: string; id: string; value: string | null }>(
    `select collection, document_id as id, client_value as value from conflict where space = $1 and user_id = $2`,
    [space, userId],
  );
  if (!fresh && values.length === 0) return;
  const lost = values.map(({ collection, id, value }) => ({
    key: keyOf(collection, id),
    value: JSON.parse(value ?? 'null') as Json,
  }));
  for (const { key } of lost) documents.add(key);
  const own = await idsOf(database, 'select id from turn where space = $1 and user_id = $2', [space, userId]);
  const turns = new Set([...own, ...quoted]);
  const keys = [...documents];
  for (let from = 0; from === 0 || from < keys.length; from += followed) {
    await database.query('delete from redaction where space = $1', [space]);
    const redacted = redaction({
      ...{ userId, turns, lost, hashOf: (value) => valueHash(value, sha256) },
      documents: new Set(keys.slice(from, from + followed)),
    });
    const at = await follow(database, space, 0, redacted, signal);
    await settle(options, part, { redacted, at, turns: [...turns] }, signal);
  }
};
