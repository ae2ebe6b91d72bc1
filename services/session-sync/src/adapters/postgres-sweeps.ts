import { type Database, pruneIdempotencyKeys } from '@skein/postgres';
import type { Sweeps } from '../app/ports.ts';

/** Results kept for a device that does not acknowledge. */
const resultsPerDevice = 1_000;
/** A device that was never named and is not seen for this long is not listed any more. */
const deviceKeptMs = 90 * 24 * 3_600_000;
const rowsPerSweep = 5_000;

/** Sweeps over this service's schema. */
export const postgresSweeps = (database: Database): Sweeps => ({
  overdueTurns: (beforeMs, limit) =>
    database.query<{ space: string; turnId: string } & Record<string, unknown>>(
      `select space, id as "turnId" from turn where state <> 'ended' and created_at_ms < $1
       order by created_at_ms limit $2`,
      [beforeMs, limit],
    ),
  forget: async (nowMs) => {
    await database.query(
      `delete from mutation_result where ctid = any (array(
         select r.ctid from mutation_result r join device_space d using (space, user_id, device)
         where r.seq <= greatest(d.acked_seq, d.last_seq - ${resultsPerDevice}) limit ${rowsPerSweep}))`,
    );
    await database.query(
      `delete from device where ctid = any (array(
         select d.ctid from device d where d.last_seen_ms < $1 limit ${rowsPerSweep}))`,
      [nowMs - deviceKeptMs],
    );
    await database.query(
      `delete from device_login where ctid = any (array(
         select l.ctid from device_login l where l.seen_ms < $1 limit ${rowsPerSweep}))`,
      [nowMs - deviceKeptMs],
    );
    await pruneIdempotencyKeys(database, rowsPerSweep);
  },
});
