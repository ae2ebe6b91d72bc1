import type { Database } from '@skein/postgres';
import type { InvitationStore } from '../app/ports.ts';
import type { InvitationRow } from '../domain/state.ts';
import { columns } from './columns.ts';
import { decodeCursor, pageOf } from './cursor.ts';

type Found = InvitationRow & Record<string, unknown>;

/** Invitations of this service's schema. */
export const postgresInvitations = (database: Database): InvitationStore => ({
  make: async (row, most) => {
    const { id, space, role, code, email, createdBy, createdAtMs, expiresAtMs } = row;
    await database.query(
      `insert into invitation (id, space, role, code, email, created_by, created_at_ms, expires_at_ms)
       select $1, $2, $3, $4, $5, $6, $7, $8
       where (select count(*) from invitation
         where space = $2 and accepted_by is null and expires_at_ms > $7) < $9
       on conflict (id) do nothing`,
      [id, space, role, code, email, createdBy, createdAtMs, expiresAtMs, most],
    );
    const [stored] = await database.query<Found>(
      `select ${columns.invitation('i')} from invitation i where i.id = $1`,
      [id],
    );
    return stored;
  },
  open: async (space, nowMs, { limit, cursor }) => {
    const [after] = decodeCursor(cursor, ['id']) ?? [null];
    const rows = await database.query<Found>(
      `select ${columns.invitation('i')} from invitation i
       where i.space = $1 and i.accepted_by is null and i.expires_at_ms > $2 and ($3::uuid is null or i.id > $3::uuid)
       order by i.id limit $4`,
      [space, nowMs, after, limit + 1],
    );
    return pageOf(rows, limit, (row) => [row.id]);
  },
  revoke: async (space, id) => {
    const rows = await database.query(
      'delete from invitation where space = $1 and id = $2 and accepted_by is null returning id',
      [space, id],
    );
    return rows.length > 0;
  },
  byCode: async (code) => {
    const [row] = await database.query<Found & { title: string }>(
      `select ${columns.invitation('i')}, s.title from invitation i join space s on s.id = i.space where i.code = $1`,
      [code],
    );
    return row;
  },
});
