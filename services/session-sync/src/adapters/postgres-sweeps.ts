import { type Database, pruneIdempotencyKeys } from '@skein/postgres';
import { participant } from '@skein/saga';
import type { Sweeps } from '../app/ports.ts';

/** Results kept for a device that does not acknowledge. */
const resultsPerDevice = 1_000;
/** A device that was never named and is not seen for this long is not listed any more. */
const dayMs = 24 * 3_600_000;
const deviceKeptMs = 90 * dayMs;
/** For whoever comes a little late: an expired invitation is told from one that never was by nobody but us. */
const invitationKeptMs = dayMs;
const rowsPerSweep = 5_000;

/** Sweeps over this service's schema. */
export const postgresSweeps = (database: Database): Sweeps => ({
  overdueTurns: (beforeMs, limit) =>
    database.query<{ space: string; turnId: string } & Record<string, unknown>>(
      `select space, id as "turnId" from turn where state <> 'ended' and created_at_ms < $1
       order by created_at_ms limit $2`,
      [beforeMs, limit],
    ),
  forget: async (nowMs, retained) => {
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
    await database.query(
      `delete from invitation where ctid = any (array(
         select i.ctid from invitation i where i.expires_at_ms < $1 limit ${rowsPerSweep}))`,
      [nowMs - invitationKeptMs],
    );
    for (const { collection, days } of retained) {
      const before = nowMs - days * dayMs;
      await database.query(
        `delete from conflict where ctid = any (array(select c.ctid from conflict c
           where c.state <> 'open' and c.collection = $1 and c.created_at_ms < $2 limit ${rowsPerSweep}))`,
        [collection, before],
      );
      await database.query(
        `delete from document where ctid = any (array(select d.ctid from document d
           where d.deleted and d.collection = $1 and d.updated_at_ms < $2 limit ${rowsPerSweep}))`,
        [collection, before],
      );
    }
    // A record is in the log by now, or its saga has given it up.
    await database.query(
      `delete from health_record where ctid = any (array(
         select r.ctid from health_record r where not exists
           (select 1 from saga s where s.id = r.saga_id and s.ended_at is null) limit ${rowsPerSweep}))`,
    );
    await participant.prune(database, rowsPerSweep);
    await pruneIdempotencyKeys(database, rowsPerSweep);
  },
});
