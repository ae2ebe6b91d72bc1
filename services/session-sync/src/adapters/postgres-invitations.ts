import type { Database } from '@skein/postgres';
import { must } from '@skein/service-kit';
import type { InvitationCounts, InvitationStore, TitledInvitation } from '../app/invitation-store.ts';
import type { InvitationRow } from '../domain/state.ts';
import { columns } from './columns.ts';
import { decodeCursor, pageOf } from './cursor.ts';

type Row<T> = T & Record<string, unknown>;

const titled = `select ${columns.invitation('i')}, s.title from invitation i join space s on s.id = i.space`;

/** Invitations of this service's schema. */
export const postgresInvitations = (database: Database): InvitationStore => ({
  byId: async (id) => {
    const [row] = await database.query<Row<TitledInvitation>>(`${titled} where i.id = $1`, [id]);
    return row;
  },
  count: async ({ space, createdBy, createdAtMs, userId, email }, sinceMs) => {
    const [counts] = await database.query<Row<InvitationCounts>>(
      `select
         (select count(*)::int from invitation
           where space = $1 and accepted_by is null and expires_at_ms > $3) as open,
         (select count(*)::int from invitation where created_by = $2 and created_at_ms > $4
           and (user_id is not null or email is not null)) as sent,
         (select count(*)::int from invitation
           where (user_id = $5 or email = $6) and accepted_by is null and expires_at_ms > $3) as waiting`,
      [space, createdBy, createdAtMs, sinceMs, userId, email],
    );
    return must(counts, 'a count is one row');
  },
  open: async (space, nowMs, { limit, cursor }) => {
    const [after] = decodeCursor(cursor, ['id']) ?? [null];
    const rows = await database.query<Row<InvitationRow>>(
      `select ${columns.invitation('i')} from invitation i
       where i.space = $1 and i.accepted_by is null and i.expires_at_ms > $2 and ($3::uuid is null or i.id > $3::uuid)
       order by i.id limit $4`,
      [space, nowMs, after, limit + 1],
    );
    return pageOf(rows, limit, (row) => [row.id]);
  },
  received: async (userId, nowMs, { limit, cursor }) => {
    const [after] = decodeCursor(cursor, ['id']) ?? [null];
    const rows = await database.query<Row<TitledInvitation>>(
      // Whoever made it may be no owner any more: then it opens nothing.
      `${titled} join member m on m.space = i.space and m.user_id = i.created_by and m.role = 'owner'
       where i.user_id = $1 and i.accepted_by is null and i.expires_at_ms > $2
         and ($3::uuid is null or i.id > $3::uuid)
       order by i.id limit $4`,
      [userId, nowMs, after, limit + 1],
    );
    return pageOf(rows, limit, (row) => [row.id]);
  },
  end: async (space, id, nowMs) => {
    // It stays for a while, so that how many mails somebody has sent is known.
    const [row] = await database.query<Row<Pick<InvitationRow, 'userId'>>>(
      `update invitation set expires_at_ms = $3
       where space = $1 and id = $2 and accepted_by is null and expires_at_ms > $3 returning user_id as "userId"`,
      [space, id, nowMs],
    );
    return row;
  },
  byCode: async (code) => {
    const [row] = await database.query<Row<TitledInvitation>>(`${titled} where i.code = $1`, [code]);
    return row;
  },
});
