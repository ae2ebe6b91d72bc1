import { outbox } from '@skein/events';
import { type Database, pruneIdempotencyKeys } from '@skein/postgres';
import { participant } from '@skein/saga';

const day = 86_400_000;

/** Rows of one statement, and statements of one table in one run: the rest waits for the next run. */
const batch = 1_000;
const maxBatches = 20;

/** What may be forgotten: table, condition on `$1` (the time of the service's clock, less the delay). */
const forgettable = [
  { table: 'tickets', key: 'hash', when: 'expires_at < $1', afterMs: 0 },
  // Tokens of an ended login are known for a week more, so that a late thief still learns nothing new.
  { table: 'sessions', key: 'id', when: 'least(idle_expires_at, revoked_at) < $1', afterMs: 7 * day },
  { table: 'api_tokens', key: 'id', when: 'least(expires_at, revoked_at) < $1', afterMs: 30 * day },
  // Longer than any access token that a revocation concerns.
  { table: 'revocations', key: 'seq', when: 'revoked_at < $1', afterMs: day },
  { table: 'signing_keys', key: 'kid', when: 'verify_until < $1', afterMs: day },
  { table: 'places', key: 'user_id, place', when: 'last_seen_at < $1', afterMs: 365 * day },
  { table: 'rate_limits', key: 'key', when: 'arrives_at < $1', afterMs: 3_600_000 },
] as const;

/** Events are kept for longer than any bus keeps them, so that a lost bus can be refilled. */
const outboxMs = 8 * day;

const repeated = async (step: () => Promise<number>): Promise<number> => {
  let removed = 0;
  for (let round = 0; round < maxBatches; round += 1) {
    const count = await step();
    removed += count;
    if (count < batch) break;
  }
  return removed;
};

/** Removes what is past its time, a bounded number of rows a run; safe on several replicas at once. */
export const pruneExpired = async (database: Database, nowMs: number): Promise<number> => {
  let removed = 0;
  for (const { table, key, when, afterMs } of forgettable)
    removed += await repeated(async () => {
      const rows = await database.query(
        `delete from ${table} where (${key}) in
           (select ${key} from ${table} where ${when} limit ${batch} for update skip locked) returning 1`,
        [new Date(nowMs - afterMs)],
      );
      return rows.length;
    });
  removed += await repeated(() => outbox.prune(database, outboxMs));
  removed += await repeated(() => pruneIdempotencyKeys(database, batch));
  removed += await repeated(() => participant.prune(database, batch));
  return removed;
};
