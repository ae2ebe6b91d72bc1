import type { Database, Queryable } from '@skein/postgres';
import type { Json } from '@skein/sync-core';
import { textsIn } from '../domain/erasure-trace.ts';
import { logRange } from './log-reads.ts';

/** Rows of one page, and events one statement looks at. */
const page = 1_000;
const range = 5_000;
/** Texts by which answers are recognised that quote a note; longer ones are no titles. */
const maxTitle = 300;

/** The person's own events; what is erased already is not among them. */
export const ownEvents = async (
  database: Database,
  space: string,
  userId: string,
  told: (json: string) => void,
  signal: AbortSignal,
): Promise<void> => {
  const [{ head } = { head: 0 }] = await database.query<{ head: number }>(
    'select coalesce(max("offset"), 0) as head from event where stream = $1',
    [space],
  );
  for (let after = 0; after < head; after += range) {
    signal.throwIfAborted();
    const rows = await database.query<{ json: string }>(
      `select json from ${logRange('$1', '$2::bigint', `($2::bigint + ${range})`)} e
       where strpos(json, '"user":"' || $3::text || '"') > 0 order by "offset"`,
      [space, after, userId],
    );
    for (const { json } of rows) told(json);
  }
};

/** Ids of a query's rows. */
export const idsOf = async (db: Queryable, sql: string, parameters: unknown[]): Promise<Set<string>> =>
  new Set((await db.query<{ id: string }>(sql, parameters)).map(({ id }) => id));

/** Turns of others whose answers name a message of the person, or a note with a text of the person, as a source. */
export const quotedTurns = async (
  database: Database,
  space: string,
  userId: string,
  signal: AbortSignal,
): Promise<readonly string[]> => {
  const messages = await idsOf(database, 'select id from message where space = $1 and user_id = $2', [
    space,
    userId,
  ]);
  const titles = new Set<string>();
  await ownEvents(
    database,
    space,
    userId,
    (json) => {
      const { data } = JSON.parse(json) as { readonly data: Json };
      textsIn(data, (text) => {
        if (text.length <= maxTitle) titles.add(text);
      });
    },
    signal,
  );
  if (messages.size === 0 && titles.size === 0) return [];
  const quoted: string[] = [];
  for (let after = 0; ; ) {
    const rows = await database.query<{ turn: string; offset: number; meta: string }>(
      `select turn_id as turn, "offset", meta from message where space = $1 and "offset" > $2
         and role = 'assistant' and turn_id is not null and meta is not null order by "offset" limit ${page}`,
      [space, after],
    );
    for (const { turn, meta } of rows) {
      const { sources } = JSON.parse(meta) as { readonly sources?: unknown };
      const named = (Array.isArray(sources) ? sources : []) as readonly { message?: string; note?: string }[];
      if (named.some(({ message = '', note = '' }) => messages.has(message) || titles.has(note)))
        quoted.push(turn);
    }
    after = rows.at(-1)?.offset ?? after;
    if (rows.length < page) return quoted;
  }
};
