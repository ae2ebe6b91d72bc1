import type { Database } from '@skein/postgres';
import type { Archive } from '../app/ports.ts';
import { chunkEvents } from './archive-schema.ts';

/** Spaces looked at in one statement, and those whose events are moved in one transaction. */
const lookedAt = 1_000;
const spacesMoved = 20;

interface Found extends Record<string, unknown> {
  readonly last: string | null;
  readonly due: string[] | null;
}

/** The archive of this service's log; `relay` is the one that must have published what goes there. */
export const postgresArchive = (database: Database, relay: string): Archive => {
  /** The last space looked at in this round. */
  let at: string | null = null;

  /** Moves what is due of some spaces; false when another replica is at it. */
  const move = (spaces: readonly string[], beforeMs: number): Promise<number | undefined> =>
    database.transaction(async (tx) => {
      const [lease] = await tx.query<{ mine: boolean }>(
        // A rebuild of read models follows the log in the order it was written in.
        `select pg_try_advisory_xact_lock(hashtextextended('skein archive of the log', 0))
           and not exists (select 1 from read_model_rebuild where ended_at is null) as mine`,
      );
      if (!lease?.mine) return undefined;
      const rows = await tx.query<{ moved: number }>(
        `select archive_events(space, $2, $3) as moved from unnest($1::uuid[]) as space`,
        [spaces, relay, beforeMs],
      );
      return rows.reduce((sum, { moved }) => sum + moved, 0);
    });

  return {
    run: async (beforeMs, signal) => {
      const [found] = await database.query<Found>(
        // The oldest event of a log is its first one that is not in the archive yet. The last one stays, and in most
        // logs it is all that is left: those are passed over here, or every round would look into each of them.
        `select max(s.id::text) as last,
           array_agg(s.id::text order by s.id) filter (where e.time_ms < $2) as due
         from (select id from space where $1::uuid is null or id > $1 order by id limit ${lookedAt}) s
         left join lateral (
           select o.time_ms from event o where o.stream = s.id
             and exists (select 1 from event n where n.stream = o.stream and n."offset" > o."offset")
           order by o."offset" limit 1) e on true`,
        [at, beforeMs],
      );
      const due = found?.due ?? [];
      let moved = 0;
      for (let from = 0; from < due.length; from += spacesMoved) {
        const spaces = due.slice(from, from + spacesMoved);
        // Again while there is as much as one step takes.
        for (let step = chunkEvents; step >= chunkEvents; ) {
          signal.throwIfAborted();
          const count = await move(spaces, beforeMs);
          if (count === undefined) return { moved, done: true };
          moved += count;
          step = count;
        }
      }
      at = found?.last ?? null;
      return { moved, done: at === null };
    },
  };
};
