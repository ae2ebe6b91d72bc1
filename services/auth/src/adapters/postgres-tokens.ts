import type { Queryable } from '@skein/postgres';
import type { ApiToken, ApiTokenFilter, ApiTokens, Revocations, Tickets } from '../app/ports.ts';

/** Tickets as rows that are gone once used. */
export const postgresTickets = (db: Queryable): Tickets => ({
  async add(hash, { userId, sessionId, tokenId, scopes, expiresAtMs }) {
    await db.query(
      `insert into tickets (hash, user_id, session_id, token_id, scopes, expires_at)
       values ($1, $2, $3, $4, $5, $6)`,
      [hash, userId, sessionId ?? null, tokenId ?? null, scopes, new Date(expiresAtMs)],
    );
  },
  async take(hash) {
    const [row] = await db.query<{
      user_id: string;
      session_id: string | null;
      token_id: string | null;
      scopes: string[];
      expires_at: Date;
    }>(
      {
        name: 'ticket_take',
        text: 'delete from tickets where hash = $1 returning user_id, session_id, token_id, scopes, expires_at',
      },
      [hash],
    );
    return (
      row && {
        userId: row.user_id,
        sessionId: row.session_id ?? undefined,
        tokenId: row.token_id ?? undefined,
        scopes: row.scopes,
        expiresAtMs: row.expires_at.getTime(),
      }
    );
  },
});

interface ApiTokenRow {
  id: string;
  user_id: string;
  name: string;
  scopes: string[];
  created_at: Date;
  expires_at: Date | null;
  kid: string;
  made_by: string | null;
}

const apiTokenOf = (row: ApiTokenRow): ApiToken => ({
  id: row.id,
  userId: row.user_id,
  name: row.name,
  scopes: row.scopes,
  createdAtMs: row.created_at.getTime(),
  expiresAtMs: row.expires_at?.getTime(),
  kid: row.kid,
  madeBy: row.made_by ?? undefined,
});

const columns = 'id, user_id, name, scopes, created_at, expires_at, kid, made_by';

/** A condition on tokens of `$1`, with what `$3` is. */
const conditionOf = (which: ApiTokenFilter): { sql: string; value: string | readonly string[] | boolean } => {
  if ('ids' in which) return { sql: 'id = any ($3::text[])', value: which.ids };
  if ('madeBy' in which) return { sql: 'made_by = $3::text', value: which.madeBy };
  return { sql: '$3::boolean', value: which.all };
};

/** API tokens as rows. */
export const postgresApiTokens = (db: Queryable): ApiTokens => ({
  async add({ id, userId, name, scopes, createdAtMs, expiresAtMs, kid, madeBy }) {
    const expiresAt = expiresAtMs === undefined ? null : new Date(expiresAtMs);
    await db.query(`insert into api_tokens (${columns}) values ($1, $2, $3, $4, $5, $6, $7, $8)`, [
      ...[id, userId, name, scopes],
      ...[new Date(createdAtMs), expiresAt, kid, madeBy ?? null],
    ]);
  },
  async list(userId, before, limit, nowMs) {
    const rows = await db.query<ApiTokenRow>(
      `select ${columns} from api_tokens
       where user_id = $1 and ($2::text is null or id < $2) and revoked_at is null
         and (expires_at is null or expires_at > $4)
       order by id desc limit $3`,
      [userId, before ?? null, limit, new Date(nowMs)],
    );
    return rows.map(apiTokenOf);
  },
  async byId(id) {
    const [row] = await db.query<ApiTokenRow>(`select ${columns} from api_tokens where id = $1`, [id]);
    return row && apiTokenOf(row);
  },
  async revoke(userId, id, nowMs) {
    const [row] = await db.query<{ revoked_at: Date | null }>(
      'select revoked_at from api_tokens where user_id = $1 and id = $2 for update',
      [userId, id],
    );
    if (!row) return undefined;
    if (row.revoked_at) return false;
    await db.query('update api_tokens set revoked_at = $2 where id = $1', [id, new Date(nowMs)]);
    return true;
  },
  async end(which, nowMs) {
    const { sql, value } = conditionOf(which);
    const rows = await db.query<{ id: string }>(
      `update api_tokens set revoked_at = $2 where user_id = $1 and revoked_at is null and ${sql} returning id`,
      [which.userId, new Date(nowMs), value],
    );
    return rows.map(({ id }) => id);
  },
  async live(ids, nowMs) {
    const rows = await db.query<ApiTokenRow>(
      {
        name: 'api_tokens_live',
        text: `select ${columns} from api_tokens
               where id = any ($1) and revoked_at is null and (expires_at is null or expires_at > $2)`,
      },
      [ids, new Date(nowMs)],
    );
    return rows.map(apiTokenOf);
  },
});

/** Revocations as rows in commit order: `append` holds a lock until its transaction ends. */
export const postgresRevocations = (db: Queryable): Revocations => ({
  async append(revocations, nowMs) {
    if (revocations.length === 0) return;
    // Without it a lower number could become visible after a higher one was read. Revocations are rare.
    await db.query(`select pg_advisory_xact_lock(hashtextextended('skein auth revocations', 0))`);
    await db.query(
      `insert into revocations (session_id, token_id, revoked_at)
       select *, $3 from unnest($1::text[], $2::text[])`,
      [
        revocations.map((one) => ('sessionId' in one ? one.sessionId : null)),
        revocations.map((one) => ('tokenId' in one ? one.tokenId : null)),
        new Date(nowMs),
      ],
    );
  },
  async after(position, sinceMs, limit) {
    const rows = await db.query<{ seq: number; session_id: string | null; token_id: string | null }>(
      {
        name: 'revocations_after',
        text: `select seq, session_id, token_id from revocations
               where seq > $1 and revoked_at >= $2 order by seq limit $3`,
      },
      [position, new Date(sinceMs), limit],
    );
    return rows.map(({ seq, session_id: sessionId, token_id: tokenId }) => ({
      position: seq,
      revocation: sessionId === null ? { tokenId: tokenId ?? '' } : { sessionId },
    }));
  },
});
