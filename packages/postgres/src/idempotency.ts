import { AppError } from '@skein/contracts';
import type { Queryable, Tx } from './database-port.ts';

/**
 * Table of remembered results; a service puts it in one of its migrations. `result` is text, so that the answer
 * is given again byte for byte.
 */
export const idempotencyTableSql = `
create table idempotency_keys (
  scope text not null,
  method text not null,
  key text not null,
  body_hash text not null,
  result text,
  created_at timestamptz not null default now(),
  primary key (scope, method, key)
);
create index idempotency_keys_created_at on idempotency_keys (created_at);
`;

/** Which request this is. */
export interface IdempotentRequest {
  /** Whose keys these are: the user's id. Keys of different scopes never meet. */
  readonly scope: string;
  /** The operation, such as `POST /v1/spaces`. */
  readonly method: string;
  /** The `Idempotency-Key` the client sent. */
  readonly key: string;
  /** Hash of the request's body: the same key with another one is `idempotency_mismatch`. */
  readonly bodyHash: string;
}

/** How long a key is remembered. */
export const idempotencyTtlHours = 24;

/**
 * Runs `fn` once per request: its effect and its result are stored in the same transaction `tx`, and for 24 hours
 * the same request gets the stored result (`fn` does not run). Two at the same time: the second waits for the
 * first to commit. The result goes through JSON, so it must survive that. A result is not stored when `fn` throws,
 * because the transaction is rolled back. Errors: `idempotency_mismatch`, and `conflict` in a transaction of a
 * higher isolation level than `read committed`.
 */
export const idempotent = async <T>(tx: Tx, request: IdempotentRequest, fn: () => Promise<T>): Promise<T> => {
  const id = [request.scope, request.method, request.key];
  const claimed = await tx.query(
    {
      name: 'skein_idempotency_claim',
      text: `insert into idempotency_keys as k (scope, method, key, body_hash) values ($1, $2, $3, $4)
             on conflict (scope, method, key) do update
               set body_hash = excluded.body_hash, result = null, created_at = now()
               where k.created_at <= now() - make_interval(hours => ${idempotencyTtlHours})
             returning 1`,
    },
    [...id, request.bodyHash],
  );
  if (claimed.length === 0) {
    const [stored] = await tx.query<{ body_hash: string; result: string | null }>(
      {
        name: 'skein_idempotency_read',
        text: 'select body_hash, result from idempotency_keys where scope = $1 and method = $2 and key = $3',
      },
      id,
    );
    // Pruned between the two statements: the next attempt claims it.
    if (stored === undefined) throw new AppError('conflict');
    if (stored.body_hash !== request.bodyHash) throw new AppError('idempotency_mismatch');
    // Null only within one transaction that asks for its own key again before it has a result.
    if (stored.result === null) throw new AppError('conflict');
    return (JSON.parse(stored.result) as { value?: T }).value as T;
  }
  const value = await fn();
  await tx.query(
    {
      name: 'skein_idempotency_store',
      text: 'update idempotency_keys set result = $4 where scope = $1 and method = $2 and key = $3',
    },
    [...id, JSON.stringify({ value })],
  );
  return value;
};

/** Forgets at most `limit` keys older than 24 hours; returns how many, so a caller repeats while it equals `limit`. */
export const pruneIdempotencyKeys = async (db: Queryable, limit = 1_000): Promise<number> => {
  const rows = await db.query(
    `delete from idempotency_keys where ctid = any (array(
       select ctid from idempotency_keys
       where created_at <= now() - make_interval(hours => ${idempotencyTtlHours})
       order by created_at limit $1))
     returning 1`,
    [limit],
  );
  return rows.length;
};
