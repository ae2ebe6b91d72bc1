import type { Database, Tx } from '@skein/postgres';
import type { DocumentReads } from '../app/ports.ts';
import type { DocumentRow } from '../domain/state.ts';
import { columns } from './columns.ts';
import { type CursorKey, decodeCursor, encodeCursor } from './cursor.ts';
import { holdTables } from './read-model-tables.ts';

/** An answer stays below the 4 MB of a gRPC message; the asker comes again for the rest. */
const answerBytes = 3_000_000;
const answerRows = 2_000;

/** As many rows as fit one answer, at least one. */
const fitting = (rows: readonly DocumentRow[]): readonly DocumentRow[] => {
  let bytes = 0;
  const tooMany = rows.findIndex((row, at) => {
    bytes += Buffer.byteLength(row.value) + 200;
    return at > 0 && bytes > answerBytes;
  });
  return tooMany < 0 ? rows : rows.slice(0, tooMany);
};

/** Before every document in the order of comparisons. */
const first: CursorKey = ['', ''];

/** A page of a comparison; `next` when there may be more. */
const pageOf = (rows: readonly DocumentRow[]) => {
  const documents = fitting(rows);
  const last = documents.at(-1);
  const more = documents.length < rows.length || rows.length === answerRows;
  return { documents, next: more && last ? encodeCursor([last.collection, last.id]) : undefined };
};

const position = async (tx: Tx, space: string) => {
  const [row] = await tx.query<{ epoch: string; head: number }>(
    `select s.epoch, coalesce((select e."offset" from event e where e.stream = s.id order by e."offset" desc limit 1), 0)
       as head from space s where s.id = $1`,
    [space],
  );
  return row ?? { epoch: '', head: 0 };
};

type Found = DocumentRow & Record<string, unknown>;

// Values are read only for what differs: a comparison of thousands of versions stays small. The rows come in a
// fixed order, and a running sum of their sizes stops the database from sending what would not fit anyway.
const limited = (where: string, order: string) => `
  select ${columns.document('d')} from (
    select d.*, sum(octet_length(d.value)) over (order by ${order}) - octet_length(d.value) as before
    from document d where ${where}) d
  where d.before < ${answerBytes} order by ${order} limit ${answerRows}`;

/** Documents of this service's schema. */
export const postgresDocuments = (database: Database): DocumentReads => {
  /** Position and rows of one moment. */
  const atOnce = <T>(read: (tx: Tx) => Promise<T>) =>
    database.transaction(
      async (tx) => {
        await holdTables(tx);
        return read(tx);
      },
      { isolation: 'repeatable read', readOnly: true },
    );
  return {
    list: async (space, collection, { limit, cursor }) => {
      const [afterCollection, afterId] = decodeCursor(cursor, ['text', 'text']) ?? ['', ''];
      const rows = await database.query<Found>(
        `select ${columns.document('d')} from document d
         where d.space = $1 and ($2 = '' or d.collection = $2) and not d.deleted and (d.collection, d.id) > ($3, $4)
         order by d.collection, d.id limit $5`,
        [space, collection, afterCollection, afterId, limit + 1],
      );
      const items = fitting(rows).slice(0, limit);
      const last = items.at(-1);
      return rows.length > items.length && last
        ? { items, next: encodeCursor([last.collection, last.id]) }
        : { items };
    },
    get: async (space, collection, id) => {
      const [row] = await database.query<Found>(
        `select ${columns.document('d')} from document d
         where d.space = $1 and d.collection = $2 and d.id = $3 and not d.deleted`,
        [space, collection, id],
      );
      return row;
    },
    compare: (space, known, cursor) =>
      atOnce(async (tx) => {
        const columnsOf = [
          known.map((one) => one.collection),
          known.map((one) => one.id),
          known.map((one) => one.version),
          known.map((one) => one.hash),
        ];
        const after = decodeCursor(cursor, ['text', 'text']);
        const { head } = await position(tx, space);
        const theirs = `(select * from unnest($2::text[], $3::text[], $4::bigint[], $5::text[])) as k(collection, id, version, hash)`;
        const documents = await tx.query<Found>(
          limited(
            `d.space = $1 and not d.deleted and (d.collection, d.id) > ($6, $7) and not exists (select 1 from ${theirs} where k.collection = d.collection
               and k.id = d.id and k.version = d.logged_version and k.hash = d.hash)`,
            'd.collection, d.id',
          ),
          [space, ...columnsOf, ...(after ?? first)],
        );
        if (after) return { offset: head, ...pageOf(documents), gone: [] };
        const gone = await tx.query<{ collection: string; id: string; version: number; hash: string }>(
          `select k.collection, k.id, coalesce(d.logged_version, 0) as version, '' as hash from ${theirs}
           left join document d on d.space = $1 and d.collection = k.collection and d.id = k.id
           where d.id is null or d.deleted`,
          [space, ...columnsOf],
        );
        return { offset: head, ...pageOf(documents), gone };
      }),
    changedAfter: (space, after) =>
      atOnce(async (tx) => {
        const { head, epoch } = await position(tx, space);
        const rows = await tx.query<Found>(
          limited(`d.space = $1 and d."offset" > $2 and d.collection <> 'session'`, 'd."offset", d.id'),
          [space, after],
        );
        const documents = fitting(rows);
        // A page that was cut reaches as far as its last document.
        const whole = documents.length === rows.length && rows.length < answerRows;
        const last = documents.at(-1);
        const more = !whole || (await isMore(tx, space, last));
        return { offset: more && last ? last.offset : head, epoch, documents };
      }),
    classicDifference: (space, known, cursor) =>
      atOnce(async (tx) => {
        const after = decodeCursor(cursor, ['text', 'text']);
        const columnsOf = [known.map(({ id }) => id), known.map(({ version }) => version)];
        const { head, epoch } = await position(tx, space);
        const theirs = `(select * from unnest($2::text[], $3::bigint[])) as k(id, version)`;
        const documents = await tx.query<Found>(
          limited(
            // What is deleted is news only for who has it.
            `d.space = $1 and d.collection <> 'session' and (d.collection, d.id) > ($4, $5)
               and (not d.deleted or exists (select 1 from ${theirs} where k.id = d.id))
               and not exists (select 1 from ${theirs} where k.id = d.id and k.version = d.version)`,
            'd.collection, d.id',
          ),
          [space, ...columnsOf, ...(after ?? first)],
        );
        if (after) return { offset: head, epoch, ...pageOf(documents), unknown: [] };
        const unknown = await tx.query<{ id: string }>(
          `select distinct k.id from ${theirs} where not exists
             (select 1 from document d where d.space = $1 and d.id = k.id and d.collection <> 'session')`,
          [space, ...columnsOf],
        );
        return { offset: head, epoch, ...pageOf(documents), unknown: unknown.map(({ id }) => id) };
      }),
  };
};

const isMore = async (tx: Tx, space: string, last: DocumentRow | undefined): Promise<boolean> => {
  if (!last) return false;
  const rows = await tx.query(
    `select 1 from document d where d.space = $1 and d."offset" > $2 and d.collection <> 'session' limit 1`,
    [space, last.offset],
  );
  return rows.length > 0;
};
