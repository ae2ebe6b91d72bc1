import { AppError } from '@skein/contracts';
import type { Queryable } from '@skein/postgres';
import type { RefreshTokens, SessionFilter, Sessions } from '../app/ports.ts';
import type { EndReason } from '../domain/refresh-family.ts';

interface SessionRow {
  id: string;
  user_id: string;
  device_id: string;
  platform: string;
  device_name: string;
  created_at: Date;
  idle_expires_at: Date;
  expires_at: Date;
  revoked_reason: EndReason | null;
}

/** A condition on live logins of `$1`, with what `$2` is. */
const conditionOf = (which: SessionFilter): { sql: string; value: string | number | readonly string[] } => {
  if ('sessionId' in which) return { sql: 'id = $2', value: which.sessionId };
  if ('deviceId' in which) {
    // The device id stands in front; an empty one is that of every login which named none.
    const sql = `(id = any (($2::text[])[2:]) or (device_id <> '' and device_id = ($2::text[])[1]))`;
    return { sql, value: [which.deviceId, ...which.sessionIds] };
  }
  return {
    sql: `id in (select id from sessions where user_id = $1 and revoked_at is null
                 order by last_used_at desc, id desc offset $2)`,
    value: which.keep,
  };
};

/** Logins as rows. */
export const postgresSessions = (db: Queryable): Sessions => ({
  async add({ id, userId, device, createdAtMs, idleExpiresAtMs, expiresAtMs }, remoteAddress) {
    // Shared with other logins; whoever closes the account waits, and then ends this login as well.
    const added = await db.query(
      {
        name: 'session_add',
        text: `insert into sessions (id, user_id, device_id, platform, device_name, remote_address, created_at,
                                     last_used_at, idle_expires_at, expires_at)
               select $1, id, $3, $4, $5, $6, $7, $7, $8, $9 from accounts
               where id = $2 and closed_at is null for share
               returning 1`,
      },
      [
        ...[id, userId, device.id, device.platform, device.name, remoteAddress],
        ...[createdAtMs, idleExpiresAtMs, expiresAtMs].map((ms) => new Date(ms)),
      ],
    );
    if (added.length === 0) throw new AppError('invalid_credentials');
  },
  async lock(id) {
    const [row] = await db.query<SessionRow>(
      {
        name: 'session_lock',
        text: `select id, user_id, device_id, platform, device_name, created_at, idle_expires_at, expires_at,
                      revoked_reason
               from sessions where id = $1 for update`,
      },
      [id],
    );
    return (
      row && {
        id: row.id,
        userId: row.user_id,
        device: { id: row.device_id, platform: row.platform, name: row.device_name },
        createdAtMs: row.created_at.getTime(),
        idleExpiresAtMs: row.idle_expires_at.getTime(),
        expiresAtMs: row.expires_at.getTime(),
        ended: row.revoked_reason ?? undefined,
      }
    );
  },
  async used(id, nowMs, idleExpiresAtMs) {
    await db.query(
      {
        name: 'session_used',
        text: 'update sessions set last_used_at = $2, idle_expires_at = $3 where id = $1',
      },
      [id, new Date(nowMs), new Date(idleExpiresAtMs)],
    );
  },
  async end(which, reason, nowMs) {
    const { sql, value } = conditionOf(which);
    const rows = await db.query<{ id: string }>(
      `update sessions set revoked_at = $4, revoked_reason = $3
       where user_id = $1 and revoked_at is null and ${sql} returning id`,
      [which.userId, value, reason, new Date(nowMs)],
    );
    return rows.map(({ id }) => id);
  },
  async list(userId, limit, nowMs) {
    const rows = await db.query<SessionRow & { last_used_at: Date }>(
      `select id, device_id, platform, device_name, created_at, last_used_at from sessions
       where user_id = $1 and revoked_at is null and idle_expires_at > $2 and expires_at > $2
       order by last_used_at desc, id desc limit $3`,
      [userId, new Date(nowMs), limit],
    );
    return rows.map((row) => ({
      id: row.id,
      device: { id: row.device_id, platform: row.platform, name: row.device_name },
      createdAtMs: row.created_at.getTime(),
      lastUsedAtMs: row.last_used_at.getTime(),
    }));
  },
  async live(ids, nowMs) {
    const rows = await db.query<{ id: string }>(
      {
        name: 'sessions_live',
        text: `select id from sessions
               where id = any ($1) and revoked_at is null and idle_expires_at > $2 and expires_at > $2`,
      },
      [ids, new Date(nowMs)],
    );
    return rows.map(({ id }) => id);
  },
});

/** Refresh tokens as rows, found by their hashes. */
export const postgresRefreshTokens = (db: Queryable): RefreshTokens => ({
  async add(hash, sessionId) {
    await db.query(
      { name: 'refresh_add', text: 'insert into refresh_tokens (hash, session_id) values ($1, $2)' },
      [hash, sessionId],
    );
  },
  async find(hash) {
    const [row] = await db.query<{
      session_id: string;
      used_at: Date | null;
      used_key: string | null;
      child_kid: string | null;
    }>(
      {
        name: 'refresh_find',
        text: 'select session_id, used_at, used_key, child_kid from refresh_tokens where hash = $1',
      },
      [hash],
    );
    return (
      row && {
        sessionId: row.session_id,
        usedAtMs: row.used_at?.getTime(),
        usedKey: row.used_key ?? undefined,
        childKid: row.child_kid ?? undefined,
      }
    );
  },
  async use(hash, { usedAtMs, usedKey, childKid }) {
    await db.query(
      {
        name: 'refresh_use',
        text: 'update refresh_tokens set used_at = $2, used_key = $3, child_kid = $4 where hash = $1',
      },
      [hash, new Date(usedAtMs), usedKey ?? null, childKid],
    );
  },
});
