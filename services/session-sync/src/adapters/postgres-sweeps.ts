import { type Database, pruneIdempotencyKeys } from '@skein/postgres';
import { participant } from '@skein/saga';
import type { Sweeps } from '../app/ports.ts';
import { declinedMs } from './postgres-invitations.ts';

/** Results kept for a device that does not acknowledge. */
const resultsPerDevice = 1_000;
/** A device that was never named and is not seen for this long is not listed any more. */
const dayMs = 24 * 3_600_000;
const deviceKeptMs = 90 * dayMs;
/** For whoever comes a little late: an expired invitation is told from one that never was by nobody but us. */
const invitationKeptMs = dayMs;
const rowsPerSweep = 5_000;

/** A device in a space: the key of `device_space`. */
interface DevicePlace extends Record<string, unknown> {
  readonly space: string;
  readonly userId: string;
  readonly device: string;
}

/** Comes before every device. */
const beforeAll: DevicePlace = { space: '00000000-0000-0000-0000-000000000000', userId: '', device: '' };

/** Forgets results of mutations, the next devices with every call: all of them at once would be more with every person. */
const resultSweep = (database: Database, limit: number): (() => Promise<void>) => {
  let at = beforeAll;
  return async () => {
    const [step] = await database.query<DevicePlace & { readonly looked: number; readonly gone: number }>(
      `with looked as (
         select space, user_id, device, greatest(acked_seq, last_seq - ${resultsPerDevice}) as upto from device_space
         where (space, user_id, device) > ($1, $2, $3) order by space, user_id, device limit ${limit}),
       gone as (
         delete from mutation_result where ctid = any (array(
           select r.ctid from looked l cross join lateral (
             select m.ctid from mutation_result m where m.space = l.space and m.user_id = l.user_id
               and m.device = l.device and m.seq <= l.upto limit ${limit}) r limit ${limit}))
         returning 1)
       select (select count(*) from looked) as looked, (select count(*) from gone) as gone,
         space, user_id as "userId", device
       from looked order by space desc, user_id desc, device desc limit 1`,
      [at.space, at.userId, at.device],
    );
    // With as much as one step takes there may be more where it was.
    if (step?.gone === limit) return;
    at = step?.looked === limit ? step : beforeAll;
  };
};

/** Sweeps over this service's schema; a step of one looks at no more rows than `limit`, however many there are. */
export const postgresSweeps = (database: Database, limit = rowsPerSweep): Sweeps => {
  const forgetResults = resultSweep(database, limit);
  return {
    overdueTurns: (beforeMs, most) =>
      database.query<{ space: string; turnId: string } & Record<string, unknown>>(
        `select space, id as "turnId" from turn where state <> 'ended' and created_at_ms < $1
       order by created_at_ms limit $2`,
        [beforeMs, most],
      ),
    forget: async (nowMs, retained) => {
      await forgetResults();
      await database.query(
        `delete from device where ctid = any (array(
         select d.ctid from device d where d.last_seen_ms < $1 limit ${limit}))`,
        [nowMs - deviceKeptMs],
      );
      await database.query(
        `delete from device_login where ctid = any (array(
         select l.ctid from device_login l where l.seen_ms < $1 limit ${limit}))`,
        [nowMs - deviceKeptMs],
      );
      await database.query(
        `delete from invitation where ctid = any (array(
         select i.ctid from invitation i where i.accepted_by is null and i.expires_at_ms < $1
           and (i.declined_by is null or i.expires_at_ms < $2) limit ${limit}))`,
        [nowMs - invitationKeptMs, nowMs - declinedMs],
      );
      for (const { collection, days } of retained) {
        const before = nowMs - days * dayMs;
        await database.query(
          `delete from conflict where ctid = any (array(select c.ctid from conflict c
           where c.state <> 'open' and c.collection = $1 and c.created_at_ms < $2 limit ${limit}))`,
          [collection, before],
        );
        await database.query(
          `delete from document where ctid = any (array(select d.ctid from document d
           where d.deleted and d.collection = $1 and d.updated_at_ms < $2 limit ${limit}))`,
          [collection, before],
        );
      }
      // A record is in the log by now, or its saga has given it up.
      await database.query(
        `delete from health_record where ctid = any (array(
         select r.ctid from health_record r where not exists
           (select 1 from saga s where s.id = r.saga_id and s.ended_at is null) limit ${limit}))`,
      );
      await participant.prune(database, limit);
      await pruneIdempotencyKeys(database, limit);
    },
  };
};
