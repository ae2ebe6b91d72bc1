import type { Database } from '@skein/postgres';
import type { History } from '../app/ports.ts';
import type { ConversationRow, MessageRow } from '../domain/state.ts';
import { columns } from './columns.ts';
import { decodeCursor, encodeCursor, pageOf } from './cursor.ts';

/** How far back a search looks, and how much it takes: one person's recent years, within a few milliseconds. */
const searchDepth = 20_000;
const searchRows = 500;
/** A page stays below the 4 MB of a gRPC message, whatever is in the messages. */
const pageBytes = 3_000_000;

/**
 * `line`: a conversation of a space ($1, $4) and those it grew from, each with the last offset it has of them. A fork
 * has no copies: the messages from before it stay where they were said.
 */
const line = `with recursive line(id, upto, depth) as (
  select id, ${Number.MAX_SAFE_INTEGER}::bigint, 0 from conversation where id = $4::uuid and space = $1
  union all
  select c.parent, least(line.upto, m."offset"), line.depth + 1
  from line join conversation c on c.id = line.id join message m on m.id = c.forked_at)`;

const like = (term: string): string => `%${term.replace(/[\\%_]/g, '\\$&')}%`;

/** Conversations and messages of this service's schema. */
export const postgresHistory = (database: Database): History => ({
  conversations: async (space, { limit, cursor }) => {
    const [updatedAtMs, id] = decodeCursor(cursor, ['integer', 'id']) ?? [null, null];
    const rows = await database.query<ConversationRow & Record<string, unknown>>(
      {
        name: 'session_sync_conversations',
        text: `select ${columns.conversation('c')} from conversation c
               where c.space = $1 and ($2::bigint is null or (c.updated_at_ms, c.id) < ($2, $3::uuid))
               order by c.updated_at_ms desc, c.id desc limit $4`,
      },
      [space, updatedAtMs, id, limit + 1],
    );
    return pageOf(rows, limit, (row) => [row.updatedAtMs, row.id]);
  },
  hasConversation: async (space, conversation) => {
    const rows = await database.query('select 1 from conversation where id = $2 and space = $1', [
      space,
      conversation,
    ]);
    return rows.length > 0;
  },
  placeOf: async (space, conversation, message) => {
    const [row] = await database.query<{ count: number; title: string; depth: number }>(
      {
        name: 'session_sync_place_of',
        text: `${line}, at as (
                 select m."offset" from line join message m on m.conversation_id = line.id and m."offset" <= line.upto
                 where m.id = $2 and m.space = $1)
               select c.title, (select max(depth) from line) as depth,
                 (select count(*) from line join message m on m.conversation_id = line.id
                    and m."offset" <= least(line.upto, at."offset"))::int as count
               from at join conversation c on c.id = $3`,
      },
      [space, message, conversation, conversation],
    );
    return row;
  },
  messages: async (space, conversation, { limit, cursor }) => {
    const [before] = decodeCursor(cursor, ['integer']) ?? [Number.MAX_SAFE_INTEGER];
    const page = (where: string) =>
      `select ${columns.message('m')} from message m where m.space = $1 and m."offset" < $2 ${where}
       order by m."offset" desc limit $3`;
    const rows = await database.query<MessageRow & Record<string, unknown>>(
      {
        name: conversation ? 'session_sync_messages' : 'session_sync_all_messages',
        // A page of each of them by its index; the newest of these.
        text: conversation
          ? `${line} select p.* from line cross join lateral
               (${page('and m.conversation_id = line.id and m."offset" <= line.upto')}) p
             order by p."offset" desc limit $3`
          : page(''),
      },
      [space, before, limit + 1, ...(conversation ? [conversation] : [])],
    );
    let bytes = 0;
    const tooMany = rows.findIndex((row, at) => {
      bytes += row.text.length * 3;
      return at > 0 && bytes > pageBytes;
    });
    const count = Math.min(limit, tooMany < 0 ? rows.length : tooMany);
    const items = rows.slice(0, count).reverse();
    const oldest = items[0];
    return rows.length > count && oldest ? { items, next: encodeCursor([oldest.offset]) } : { items };
  },
  containing: (space, terms) =>
    database.query<MessageRow & Record<string, unknown>>(
      {
        name: 'session_sync_search',
        text: `select ${columns.message('m')} from
                 (select * from message where space = $1 order by "offset" desc limit ${searchDepth}) m
               where m.text ilike any ($2::text[]) limit ${searchRows}`,
      },
      [space, terms.map(like)],
    ),
});
