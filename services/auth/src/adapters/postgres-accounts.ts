import type { Queryable } from '@skein/postgres';
import type { Accounts, Places } from '../app/ports.ts';

interface AccountRow {
  id: string;
  email: string;
  display_name: string;
  password_hash: string;
  registration_key: string | null;
  created_at: Date;
}

const accountOf = (row: AccountRow) => ({
  id: row.id,
  email: row.email,
  displayName: row.display_name,
  passwordHash: row.password_hash,
  registrationKey: row.registration_key ?? undefined,
  createdAtMs: row.created_at.getTime(),
});

const columns = 'id, email, display_name, password_hash, registration_key, created_at';

/** Accounts as rows. */
export const postgresAccounts = (db: Queryable): Accounts => ({
  async add({ id, email, displayName, passwordHash, registrationKey, createdAtMs }) {
    const rows = await db.query(
      `insert into accounts (${columns}) values ($1, $2, $3, $4, $5, $6) on conflict (email) do nothing returning 1`,
      [id, email, displayName, passwordHash, registrationKey ?? null, new Date(createdAtMs)],
    );
    return rows.length === 1;
  },
  async byEmail(email) {
    const [row] = await db.query<AccountRow>(
      {
        name: 'account_by_email',
        text: `select ${columns} from accounts where email = $1 and closed_at is null`,
      },
      [email],
    );
    return row && accountOf(row);
  },
  async byId(id) {
    const [row] = await db.query<AccountRow>(
      { name: 'account_by_id', text: `select ${columns} from accounts where id = $1 and closed_at is null` },
      [id],
    );
    return row && accountOf(row);
  },
  async close(id, nowMs) {
    const [row] = await db.query<{ email: string }>(
      'update accounts set closed_at = coalesce(closed_at, $2) where id = $1 returning email',
      [id, new Date(nowMs)],
    );
    return row?.email;
  },
  async replaceHash({ id, passwordHash: old }, passwordHash) {
    await db.query('update accounts set password_hash = $3 where id = $1 and password_hash = $2', [
      ...[id, old, passwordHash],
    ]);
  },
});

/** Places remembered of one person: more than anybody signs in from. */
const maxPlaces = 200;

/** Places of login as rows. */
export const postgresPlaces = (db: Queryable): Places => ({
  async see(userId, place, nowMs) {
    const [seen] = await db.query<{ this_place: boolean; other_places: boolean }>(
      `select coalesce(bool_or(place = $2), false) as this_place, coalesce(bool_or(place <> $2), false) as other_places
       from places where user_id = $1`,
      [userId, place],
    );
    await db.query(
      `insert into places (user_id, place, first_seen_at, last_seen_at) values ($1, $2, $3, $3)
       on conflict (user_id, place) do update set last_seen_at = excluded.last_seen_at`,
      [userId, place, new Date(nowMs)],
    );
    await db.query(
      `delete from places where user_id = $1 and place in
         (select place from places where user_id = $1 order by last_seen_at desc, place offset ${maxPlaces})`,
      [userId],
    );
    return { thisPlace: seen?.this_place ?? false, otherPlaces: seen?.other_places ?? false };
  },
});
