import type { Database } from '@skein/postgres';
import type { ConflictReads } from '../app/ports.ts';
import type { ConflictRow } from '../domain/state.ts';
import { columns } from './columns.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';

/** An answer stays below the 4 MB of a gRPC message: one more conflict may come on top of this. */
const answerBytes = 3_000_000;

const sizeOf = `coalesce(octet_length(server_value), 0) + coalesce(octet_length(client_value), 0) + 500`;
const newestFirst = 'order by created_at_ms desc, id desc';

// A running sum keeps what would not fit an answer in the database; `more` tells that there is something after it.
const listSql = {
  name: 'session_sync_conflicts',
  text: `
with page as (
  select *, sum(${sizeOf}) over (${newestFirst}) - (${sizeOf}) as before, row_number() over (${newestFirst}) as n
  from (
    select * from conflict where space = $1 and ($2 = '' or state = $2)
      and ($3::bigint is null or (created_at_ms, id) < ($3::bigint, $4::uuid))
    ${newestFirst} limit $5 + 1
  ) wanted
)
select ${columns.conflict('c')}, (select count(*) from page) > c.n as more
from page c where c.before < ${answerBytes} and c.n <= $5 ${newestFirst}`,
};

/** Conflicts of this service's schema. */
export const postgresConflicts = (database: Database): ConflictReads => ({
  list: async (space, state, { limit, cursor }) => {
    const [afterMs, afterId] = decodeCursor(cursor, ['integer', 'id']) ?? [null, null];
    const rows = await database.query<ConflictRow & { more: boolean } & Record<string, unknown>>(listSql, [
      ...[space, state, afterMs, afterId],
      limit,
    ]);
    const last = rows.at(-1);
    return last?.more ? { items: rows, next: encodeCursor([last.createdAtMs, last.id]) } : { items: rows };
  },
});
