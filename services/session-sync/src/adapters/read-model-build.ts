import type { Tx } from '@skein/postgres';
import {
  applyToReadModels,
  emptyReadModels,
  type ReadEvent,
  type ReadModels,
  readModelTypes,
  touchedBy,
} from '../domain/read-models.ts';
import {
  type ConversationRow,
  type DocumentRow,
  keyOf,
  type MemberRow,
  type TurnRow,
} from '../domain/state.ts';
import { columns } from './columns.ts';
import { logRange } from './log-reads.ts';
import { readModelTables, upsertNext } from './read-model-tables.ts';

/** A part of a space's log that the new tables get next. */
export interface LogPart {
  readonly space: string;
  readonly epoch: string;
  /** Exclusive; the new tables have what is before it. */
  readonly after: number;
  readonly upto: number;
  /** Where the log ended when it was looked at. */
  readonly head: number;
}

type Found<T> = T & Record<string, unknown>;

/** Events of the parts in the order of spaces and offsets; parts are cut, or left out, where there are too many bytes. */
const readParts = async (
  tx: Tx,
  parts: readonly LogPart[],
  bytes: number,
): Promise<{ readonly events: readonly ReadEvent[]; readonly read: readonly LogPart[] }> => {
  const rows = await tx.query<Found<ReadEvent & { readonly whole: boolean }>>(
    `select space, "offset", type, time_ms as "timeMs", json, whole from (
       select *, max(before) over () < $5 as whole from (
         select p.space, e.*, sum(octet_length(e.json)) over (order by p.space, e."offset")
           - octet_length(e.json) as before
         from unnest($1::uuid[], $2::bigint[], $3::bigint[]) as p(space, after, upto)
         cross join lateral ${logRange('p.space', 'p.after', 'p.upto')} e where e.type = any($4::text[])) sized) page
     where before < $5 order by space, "offset"`,
    [
      parts.map(({ space }) => space),
      parts.map(({ after }) => after),
      parts.map(({ upto }) => upto),
      readModelTypes,
      bytes,
    ],
  );
  const last = rows.at(-1);
  if (!last || last.whole) return { events: rows, read: parts };
  const cut = parts.findIndex(({ space }) => space === last.space);
  const read = parts
    .slice(0, cut + 1)
    .map((part, at) => (at === cut ? { ...part, upto: last.offset } : part));
  return { events: rows, read };
};

const unique = (values: readonly (string | undefined)[]): string[] => [
  ...new Set(values.filter((value) => value !== undefined)),
];

/** What the new tables have of the rows that the events change. */
const loadTouched = async (tx: Tx, events: readonly ReadEvent[]): Promise<ReadModels> => {
  const models = emptyReadModels();
  const touched = events.map((event) => ({ space: event.space, ...touchedBy(event) }));
  const pairs = touched.flatMap(({ space, document, member }) => [
    ...(document ? [{ space, a: document.collection, b: document.id }] : []),
    ...(member === undefined ? [] : [{ space, a: member, b: '' }]),
  ]);
  const keys = [pairs.map(({ space }) => space), pairs.map(({ a }) => a), pairs.map(({ b }) => b)];
  for (const row of await tx.query<Found<DocumentRow>>(
    `select ${columns.document('d')} from (select distinct * from unnest($1::uuid[], $2::text[], $3::text[])) as k(space, collection, id)
     join document_next d using (space, collection, id)`,
    keys,
  ))
    models.documents.set(keyOf(row.space, row.collection, row.id), row);
  for (const row of await tx.query<Found<MemberRow>>(
    `select ${columns.member('m')} from (select distinct * from unnest($1::uuid[], $2::text[])) as k(space, user_id)
     join member_next m using (space, user_id)`,
    keys.slice(0, 2),
  ))
    models.members.set(keyOf(row.space, row.userId), row);
  for (const row of await tx.query<Found<ConversationRow>>(
    `select ${columns.conversation('c')} from conversation_next c where c.id = any($1::uuid[])`,
    [unique(touched.map(({ conversation }) => conversation))],
  ))
    models.conversations.set(row.id, row);
  for (const row of await tx.query<Found<TurnRow>>(
    `select ${columns.turn('t')} from turn_next t where t.id = any($1::uuid[])`,
    [unique(touched.map(({ turn }) => turn))],
  ))
    models.turns.set(row.id, row);
  return models;
};

/**
 * What no event tells is taken over from a row that is otherwise what the log says: stamps of fields, times and raised
 * versions of classic clients. A deletion without a row is one that the collection does not keep any more.
 */
const taken = (row: DocumentRow, old: DocumentRow | undefined): DocumentRow | undefined => {
  if (!old) return row.deleted ? undefined : row;
  const same =
    old.loggedVersion === row.loggedVersion &&
    old.deleted === row.deleted &&
    (row.deleted || old.hash === row.hash);
  if (!same) return row;
  const { fields, clientTimeMs, version } = old;
  const left = row.deleted ? { value: old.value, hash: old.hash } : {};
  return { ...row, fields, clientTimeMs, version: Math.max(version, row.version), ...left };
};

const writeDocuments = async (tx: Tx, rows: readonly DocumentRow[]): Promise<void> => {
  const keys = [rows.map(({ space }) => space), rows.map((row) => row.collection), rows.map(({ id }) => id)];
  const old = new Map(
    (
      await tx.query<Found<DocumentRow>>(
        `select ${columns.document('d')} from unnest($1::uuid[], $2::text[], $3::text[]) as k(space, collection, id)
         join document d using (space, collection, id)`,
        keys,
      )
    ).map((row) => [keyOf(row.space, row.collection, row.id), row]),
  );
  const written = rows.flatMap((row) => taken(row, old.get(keyOf(row.space, row.collection, row.id))) ?? []);
  const kept = new Set(written.map(({ space, collection, id }) => keyOf(space, collection, id)));
  const gone = rows.filter(({ space, collection, id }) => !kept.has(keyOf(space, collection, id)));
  await upsertNext(tx, readModelTables.documents, written);
  await tx.query(
    `delete from document_next d using unnest($1::uuid[], $2::text[], $3::text[]) as k(space, collection, id)
     where d.space = k.space and d.collection = k.collection and d.id = k.id`,
    [gone.map(({ space }) => space), gone.map((row) => row.collection), gone.map(({ id }) => id)],
  );
};

/** Whoever made a space is its first owner, which is in no event. */
const foundSpaces = (tx: Tx, spaces: readonly string[]) =>
  tx.query(
    `insert into member_next (space, user_id, role, joined_at_ms)
     select id, created_by, 'owner', created_at_ms from space where id = any($1::uuid[]) on conflict do nothing`,
    [spaces],
  );

/**
 * Applies parts of logs to the new tables and notes how far they are, in one transaction. Parts are of different
 * spaces, sorted. Returns what was read: less than asked for when that were more than `bytes`.
 */
export const buildParts = async (
  tx: Tx,
  parts: readonly LogPart[],
  bytes: number,
): Promise<readonly LogPart[]> => {
  const { events, read } = await readParts(tx, parts, bytes);
  await foundSpaces(
    tx,
    read.filter(({ after }) => after === 0).map(({ space }) => space),
  );
  const models = await loadTouched(tx, events);
  for (const event of events) applyToReadModels(models, event);
  await writeDocuments(tx, [...models.documents.values()]);
  await upsertNext(tx, readModelTables.messages, [...models.messages.values()]);
  await upsertNext(tx, readModelTables.turnEnds, [...models.turnEnds.values()]);
  await upsertNext(tx, readModelTables.conversations, [...models.conversations.values()]);
  await upsertNext(tx, readModelTables.turns, [...models.turns.values()]);
  const members = [...models.members.values()];
  await upsertNext(
    tx,
    readModelTables.members,
    members.filter(({ role }) => role !== null),
  );
  const gone = members.filter(({ role }) => role === null);
  await tx.query(
    `delete from member_next m using unnest($1::uuid[], $2::text[]) as k(space, user_id)
     where m.space = k.space and m.user_id = k.user_id`,
    [gone.map(({ space }) => space), gone.map(({ userId }) => userId)],
  );
  // The epoch stays the one of the first part: when it is another one by now, the first part was of another log.
  await tx.query(
    `insert into read_model_checkpoint (space, epoch, "offset", behind)
     select * from unnest($1::uuid[], $2::text[], $3::bigint[], $4::boolean[])
     on conflict (space) do update set "offset" = excluded."offset", behind = excluded.behind`,
    [
      read.map(({ space }) => space),
      read.map(({ epoch }) => epoch),
      read.map(({ upto }) => upto),
      read.map(({ upto, head }) => upto < head),
    ],
  );
  return read;
};
