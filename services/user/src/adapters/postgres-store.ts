import { createHash } from 'node:crypto';
import { type Database, idempotent, type Queryable } from '@skein/postgres';
import type { Logins, Notices, Profiles, Repositories, Store } from '../app/ports.ts';
import type { Notice } from '../domain/notice.ts';

const profiles = (db: Queryable): Profiles => ({
  async byId(userId) {
    const [row] = await db.query<{
      email: string;
      display_name: string;
      locale: string;
      timezone: string;
      created_at: Date;
    }>(
      {
        name: 'profile_by_id',
        text: 'select email, display_name, locale, timezone, created_at from profiles where user_id = $1',
      },
      [userId],
    );
    return (
      row && {
        userId,
        email: row.email,
        displayName: row.display_name,
        locale: row.locale,
        timezone: row.timezone,
        createdAtMs: row.created_at.getTime(),
      }
    );
  },
  async add({ userId, email, displayName, locale, timezone, createdAtMs }) {
    await db.query(
      `insert into profiles (user_id, email, display_name, locale, timezone, created_at)
       values ($1, $2, $3, $4, $5, $6) on conflict (user_id) do nothing`,
      [userId, email, displayName, locale, timezone, new Date(createdAtMs)],
    );
  },
  async change(userId, { displayName, locale, timezone }) {
    await db.query(
      `update profiles set display_name = coalesce($2, display_name), locale = coalesce($3, locale),
                           timezone = coalesce($4, timezone)
       where user_id = $1`,
      [userId, displayName ?? null, locale ?? null, timezone ?? null],
    );
  },
});

const logins = (db: Queryable): Logins => ({
  async last(userId) {
    const [row] = await db.query<{ at: Date; platform: string }>(
      { name: 'last_login', text: 'select at, platform from last_logins where user_id = $1' },
      [userId],
    );
    return row && { atMs: row.at.getTime(), platform: row.platform };
  },
  async note(userId, { atMs, platform }) {
    await db.query(
      `insert into last_logins as l (user_id, at, platform) values ($1, $2, $3)
       on conflict (user_id) do update set at = excluded.at, platform = excluded.platform
         where l.at < excluded.at`,
      [userId, new Date(atMs), platform],
    );
  },
});

/** Of one person; older ones go. Nobody reads further back. */
const maxNotices = 200;

const notices = (db: Queryable): Notices => ({
  async add({ id, userId, kind, timeMs, data }) {
    await db.query('insert into notices (id, user_id, kind, time, data) values ($1, $2, $3, $4, $5)', [
      ...[id, userId, kind],
      ...[new Date(timeMs), JSON.stringify(data)],
    ]);
    await db.query(
      `delete from notices where user_id = $1 and id in
         (select id from notices where user_id = $1 order by time desc, id desc offset ${maxNotices})`,
      [userId],
    );
  },
  async list(userId, before, limit) {
    const rows = await db.query<{
      id: string;
      kind: Notice['kind'];
      time: Date;
      data: Record<string, string | number>;
    }>(
      `select id, kind, time, data from notices
       where user_id = $1 and ($2::timestamptz is null or (time, id) < ($2, $3))
       order by time desc, id desc limit $4`,
      [userId, before ? new Date(before.timeMs) : null, before?.id ?? null, limit],
    );
    return rows.map(({ id, kind, time, data }) => ({ id, userId, kind, timeMs: time.getTime(), data }));
  },
});

/** The repositories on a database, or on a transaction of it. */
export const repositoriesOn = (db: Queryable): Repositories => ({
  profiles: profiles(db),
  logins: logins(db),
  notices: notices(db),
  once: ({ userId, method, key, body }, work) => {
    if (key === undefined) return work();
    const bodyHash = createHash('sha256').update(JSON.stringify(body)).digest('hex');
    return idempotent(db, { scope: userId, method, key, bodyHash }, work);
  },
});

/** Everything the service stores. */
export const postgresStore = (database: Database): Store => ({
  ...repositoriesOn(database),
  transaction: (work, signal) => database.transaction((tx) => work(repositoriesOn(tx)), { signal }),
});
