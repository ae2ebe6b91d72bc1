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

const like = (term: string): string => `%${term.replace(/[\\%_]/g, '\\$&')}%`;

/** Conversations and messages of this service's schema. */
export const postgresHistory = (database: Database): History => ({
  conversations: async (space, { limit, cursor }) => {
    const [updatedAtMs, id] = decodeCursor(cursor, ['number', 'string']) ?? [null, null];
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
  messages: async (space, conversation, { limit, cursor }) => {
    const [before] = decodeCursor(cursor, ['number']) ?? [Number.MAX_SAFE_INTEGER];
    const where = conversation ? 'm.conversation_id = $4 and m.space = $1' : 'm.space = $1';
    const rows = await database.query<MessageRow & Record<string, unknown>>(
      {
        name: conversation ? 'session_sync_messages' : 'session_sync_all_messages',
        text: `select ${columns.message('m')} from message m where ${where} and m."offset" < $2
               order by m."offset" desc limit $3`,
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
