import type { Queryable } from '@skein/postgres';
import { must } from '@skein/service-kit';
import type { FoundInvitation, InvitationStore } from '../app/invitation-store.ts';
import type { InvitationCounts } from '../domain/invitation.ts';
import type { InvitationRow } from '../domain/invitation-row.ts';
import { columns } from './columns.ts';
import { decodeCursor, pageOf } from './cursor.ts';

type Row<T> = T & Record<string, unknown>;

const unused = (nowMs: string): string => `accepted_by is null and not ended and expires_at_ms > ${nowMs}`;

/** Whoever made it may be no owner any more: then it opens nothing. */
const makerOwns = `exists (select 1 from member o
  where o.space = i.space and o.user_id = i.created_by and o.role = 'owner')`;

const found = `${columns.invitation('i')}, s.title, ${makerOwns} as "makerOwns"`;

/** For how long after somebody has declined a space its invitations are not mailed to them. */
export const declinedMs = 7 * 24 * 3_600_000;

/** Invitations of this service's schema. */
export const postgresInvitations = (database: Queryable): InvitationStore => ({
  byId: async (id) => {
    const [row] = await database.query<Row<FoundInvitation>>(
      `select ${found} from invitation i join space s on s.id = i.space where i.id = $1`,
      [id],
    );
    return row;
  },
  count: async ({ space, createdBy, createdAtMs, userId, email }, sinceMs) => {
    const [counts] = await database.query<Row<InvitationCounts>>(
      `with same as (select * from invitation where user_id = $5 or email = $6)
       select
         (select count(*)::int from invitation
           where space = $1 and ${unused('$3')}) as open,
         (select count(*)::int from invitation where created_by = $2 and created_at_ms > $4
           and (user_id is not null or email is not null)) as sent,
         (select count(*)::int from same
           where created_by = $2 and ${unused('$3')}) as waiting,
         (select count(*)::int from same where created_by = $2 and mailed and created_at_ms > $4) as "mailsOfMaker",
         (select count(*)::int from same where mailed and created_at_ms > $4) as mails,
         exists (select 1 from invitation where space = $1 and expires_at_ms > $7
           and (declined_by = $5 or declined_by is not null and $6 in (email, person_email))) as declined`,
      [space, createdBy, createdAtMs, sinceMs, userId, email, createdAtMs - declinedMs],
    );
    return must(counts, 'a count is one row');
  },
  open: async (space, nowMs, { limit, cursor }) => {
    const [after] = decodeCursor(cursor, ['id']) ?? [null];
    const rows = await database.query<Row<InvitationRow>>(
      `select ${columns.invitation('i')} from invitation i
       where i.space = $1 and ${unused('$2')} and ${makerOwns}
         and ($3::uuid is null or i.id > $3::uuid)
       order by i.id limit $4`,
      [space, nowMs, after, limit + 1],
    );
    return pageOf(rows, limit, (row) => [row.id]);
  },
  received: async (userId, nowMs, { limit, cursor }) => {
    const [after] = decodeCursor(cursor, ['id']) ?? [null];
    const rows = await database.query<Row<FoundInvitation>>(
      `select ${found} from invitation i join space s on s.id = i.space
       where i.user_id = $1 and ${unused('$2')} and ${makerOwns}
         and ($3::uuid is null or i.id > $3::uuid)
       order by i.id limit $4`,
      [userId, nowMs, after, limit + 1],
    );
    return pageOf(rows, limit, (row) => [row.id]);
  },
  end: async ({ space, id }, nowMs, declines) => {
    // It stays for a while, so that how many mails somebody has sent is known, and what somebody has declined.
    const [row] = await database.query<Row<Pick<InvitationRow, 'userId'>>>(
      `update invitation set ended = true, expires_at_ms = $3, declined_by = $4, person_email = nullif($5, '')
       where space = $1 and id = $2 and ${unused('$3')} returning user_id as "userId"`,
      [space, id, nowMs, declines?.userId ?? null, declines?.email ?? null],
    );
    return row;
  },
  byCode: async (code, userId) => {
    const [row] = await database.query<Row<FoundInvitation & { isIn: boolean }>>(
      `select ${found}, exists (select 1 from member m where m.space = i.space and m.user_id = $2) as "isIn"
       from invitation i join space s on s.id = i.space where i.code = $1`,
      [code, userId],
    );
    return row;
  },
});
