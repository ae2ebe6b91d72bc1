import { gapSafe } from '@skein/events';
import { type Database, sqlState, type Tx } from '@skein/postgres';
import { must } from '@skein/service-kit';
import type { Logger } from '@skein/telemetry';
import { buildParts, type LogPart } from './read-model-build.ts';
import {
  analyzeNextTables,
  createNextTables,
  differencesOf,
  dropNextTables,
  lockTables,
  readModelTables,
  switchTables,
} from './read-model-tables.ts';

/**
 * What one transaction does at most; how little may be left to be done while everybody waits, at first; how long writers
 * are followed: whoever writes more than can be built all that time would be followed for ever.
 */
const defaults = { spaces: 200, events: 5_000, bytes: 16_000_000, rest: 1_000, followMs: 3_600_000 };

/** In this time what may be left doubles, up to what one transaction does: rather a longer wait than no end. */
const patienceMs = 600_000;

/** Bounds of the steps. */
export type RebuildLimits = Partial<typeof defaults>;

/** The making of new read models out of the log, in steps. */
export interface Rebuild {
  /** Does what there is to do; `signal` stops it after its step. What is not done is the next call's, of any replica. */
  run(signal: AbortSignal): Promise<void>;
}

interface Order extends Record<string, unknown> {
  readonly id: number;
  readonly phase: 'ordered' | 'copying' | 'following';
  readonly schemaVersion: number | null;
  readonly currentVersion: number;
  readonly space: string | null;
  readonly era: number;
  readonly xid: string;
  readonly seq: number;
  /** For how long writers have been followed. */
  readonly followedMs: number;
}

interface SpaceRow extends Record<string, unknown> {
  readonly space: string;
  readonly epoch: string;
  readonly head: number;
  readonly done: number;
}

/** What became of a step. `later`: others are in the way; the next call tries again. */
type Step = 'nothing' | 'more' | 'later';

/** How often the last step reads a part while everybody waits. */
const maxTimes = 10;

const lockTimeout = '55P03';

const orderSql = `
  select id, phase, schema_version as "schemaVersion",
    (select max(version) from schema_migrations) as "currentVersion", space, era, xid::text as xid, seq,
    coalesce(extract(epoch from now() - followed_at) * 1000, 0)::bigint as "followedMs"
  from read_model_rebuild where ended_at is null for update skip locked`;

// With the head, so that what is taken over from the old rows is of the same moment.
const spaceColumns = `s.id as space, s.epoch, coalesce(c."offset", 0) as done,
  coalesce((select e."offset" from event e where e.stream = s.id order by e."offset" desc limit 1), 0) as head
  from space s left join read_model_checkpoint c on c.space = s.id`;

/** Spaces whose past was changed since it was copied, or that are gone. */
const changedSql = `select c.space from read_model_checkpoint c left join space s on s.id = c.space
  where s.epoch is distinct from c.epoch`;

/** Spaces of whose logs the new tables have a part, or that were changed: nothing is switched while there is one. */
const unfinishedSql = `${changedSql} or c.behind`;

/** The next parts of these spaces, at most `room` events in all. */
const partsOf = (found: readonly SpaceRow[], room: number): LogPart[] => {
  const parts: LogPart[] = [];
  let left = room;
  for (const { space, epoch, head, done: after } of found) {
    if (left <= 0) break;
    const upto = Math.min(head, after + left);
    parts.push({ space, epoch, after, upto, head });
    left -= upto - after;
  }
  return parts;
};

const atHead = ({ upto, head }: LogPart): boolean => upto === head;

const addUp = (
  one: Readonly<Record<string, number>>,
  other: Readonly<Record<string, number>>,
): Record<string, number> => {
  const sum: Record<string, number> = { ...one };
  for (const [name, count] of Object.entries(other)) sum[name] = (sum[name] ?? 0) + count;
  return sum;
};

/**
 * Rebuilds the read models when `read_model_rebuild` has an order: new tables beside the old ones, filled space by
 * space and compared with the old rows of the same moment, then kept up with the log, and put in the place of the old
 * ones while nobody writes, for less than a second. All that is known between two steps is in the database, so a
 * process that dies loses one step; the row is locked during a step, so one replica does it at a time.
 */
export const postgresRebuild = (
  database: Database,
  log: Pick<Logger, 'info' | 'warn'>,
  limits: RebuildLimits = {},
): Rebuild => {
  const {
    spaces: maxSpaces,
    events: maxEvents,
    bytes,
    rest: firstRest,
    followMs,
  } = { ...defaults, ...limits };

  /** How many events may be left for the time when everybody waits. */
  const restOf = ({ followedMs }: Order): number =>
    Math.max(firstRest, Math.min(maxEvents, firstRest * 2 ** (followedMs / patienceMs)));

  const begin = async (tx: Tx, { id, currentVersion }: Order): Promise<Step> => {
    await createNextTables(tx);
    await tx.query('truncate read_model_checkpoint');
    // What is committed after this moment comes after this place.
    await tx.query(
      `update read_model_rebuild set phase = 'copying', schema_version = $2, space = null, spaces = 0, events = 0,
         followed_at = null, differences = '{}', seq = -1, xid = pg_snapshot_xmin(pg_current_snapshot()), era = (select era from log_era)
       where id = $1`,
      [id, currentVersion],
    );
    return 'more';
  };

  const copy = async (tx: Tx, { id, space }: Order): Promise<Step> => {
    const found = await tx.query<SpaceRow>(
      `select ${spaceColumns} where $1::uuid is null or s.id > $1 order by s.id limit $2`,
      [space, maxSpaces],
    );
    if (found.length === 0) {
      await tx.query(`update read_model_rebuild set phase = 'following', followed_at = now() where id = $1`, [
        id,
      ]);
      return 'more';
    }
    const read = await buildParts(tx, partsOf(found, maxEvents), bytes);
    const whole = read.filter(atHead).map(({ space }) => space);
    const differences = await differencesOf(tx, whole);
    const [before] = await tx.query<{ differences: Record<string, number> }>(
      'select differences from read_model_rebuild where id = $1',
      [id],
    );
    await tx.query(
      `update read_model_rebuild set space = coalesce($2::uuid, space), spaces = spaces + $3, events = events + $4,
         differences = $5 where id = $1`,
      [
        id,
        whole.at(-1) ?? null,
        whole.length,
        read.reduce((sum, { after, upto }) => sum + upto - after, 0),
        JSON.stringify(addUp(before?.differences ?? {}, differences)),
      ],
    );
    return 'more';
  };

  /** Brings spaces nearer to their heads, by at most `room` events; true when all are there. */
  const catchUp = async (tx: Tx, spaces: readonly string[], room: number): Promise<boolean> => {
    const found = await tx.query<SpaceRow>(
      `select * from (select ${spaceColumns} where s.id = any($1::uuid[])) f
       where head > done or not exists (select 1 from read_model_checkpoint c where c.space = f.space)
       order by space`,
      [spaces],
    );
    if (found.length === 0) return true;
    const read = await buildParts(tx, partsOf(found, room), bytes);
    return read.length === found.length && read.every(atHead);
  };

  /** Takes spaces out whose past was changed; they are built again. */
  const takeOut = async (tx: Tx, spaces: readonly string[]): Promise<void> => {
    await tx.query(
      `delete from turn_end_next where turn_id in (select id from turn_next where space = any($1::uuid[]))`,
      [spaces],
    );
    for (const { name } of Object.values(readModelTables))
      if (name !== 'turn_end')
        await tx.query(`delete from ${name}_next where space = any($1::uuid[])`, [spaces]);
    await tx.query('delete from read_model_checkpoint where space = any($1::uuid[])', [spaces]);
  };

  /** Spaces with new events after the order's place, at most `limit` events, and the place after them. */
  const written = async (tx: Tx, { era, xid, seq }: Order, settled: string, limit: number) => {
    const rows = await tx.query<{ space: string; era: number; xid: string; seq: number }>(
      `select stream as space, era, xid::text as xid, global_seq as seq from event
       where (era, xid, global_seq) > ($1, $2::xid8, $3) and ${settled}
       order by event.era, event.xid, event.global_seq limit $4`,
      [era, xid, seq, limit],
    );
    return { count: rows.length, spaces: [...new Set(rows.map(({ space }) => space))], last: rows.at(-1) };
  };

  const follow = async (tx: Tx, order: Order): Promise<Step> => {
    const rest = restOf(order);
    const { count, spaces, last } = await written(tx, order, gapSafe, maxEvents);
    if (count < rest) {
      const changed = (await tx.query<{ space: string }>(changedSql)).map(({ space }) => space);
      await takeOut(tx, changed);
      spaces.push(...changed);
    }
    const behind = await tx.query<{ space: string }>('select space from read_model_checkpoint where behind');
    spaces.push(...behind.map(({ space }) => space));
    // A long log takes several steps, from where it is.
    if (!(await catchUp(tx, spaces, maxEvents))) return 'more';
    if (count < rest) await analyzeNextTables(tx);
    if (last)
      await tx.query(
        'update read_model_rebuild set era = $2, xid = $3::xid8, seq = $4, events = events + $5 where id = $1',
        [order.id, last.era, last.xid, last.seq, count],
      );
    return count < rest ? 'nothing' : 'more';
  };

  /** While nobody writes: the last events, spaces without any, versions raised without any, and the switch. */
  const finish = async (tx: Tx): Promise<Step> => {
    await lockTables(tx);
    const [order] = await tx.query<Order>(orderSql);
    if (order?.phase !== 'following') return 'nothing';
    const room = Math.floor(restOf(order)) + 1;
    const { count, spaces } = await written(tx, order, 'true', room);
    const [unfinished] = await tx.query(`${unfinishedSql} limit 1`);
    if (count === room || unfinished) return 'more';
    const silent = await tx.query<{ id: string }>(
      'select id from space s where not exists (select 1 from read_model_checkpoint c where c.space = s.id)',
    );
    const late = [...spaces, ...silent.map(({ id }) => id)];
    // What is left is little; only its bytes can be too many for one time.
    for (let time = 1; !(await catchUp(tx, late, room)); time += 1) if (time === maxTimes) return 'more';
    await tx.query(
      `update document_next n set version = d.version from document d
       where d.version > d.logged_version and n.space = d.space and n.collection = d.collection and n.id = d.id
         and n.logged_version = d.logged_version and n.version < d.version`,
    );
    await switchTables(tx);
    const [done] = await tx.query<{ spaces: number; events: number; differences: object }>(
      `update read_model_rebuild set phase = 'switched', ended_at = now() where id = $1
       returning spaces, events, differences`,
      [order.id],
    );
    log.info({ ...must(done, 'the order is locked') }, 'the read models were rebuilt from the log');
    return 'nothing';
  };

  /** Ends an order that does not come to its end: what is shown stays as it is. */
  const giveUp = async (tx: Tx, { id }: Order): Promise<Step> => {
    // Nobody would erase from them any more.
    await dropNextTables(tx);
    const [ended] = await tx.query<{ spaces: number; events: number }>(
      `update read_model_rebuild set phase = 'outpaced', ended_at = now() where id = $1 returning spaces, events`,
      [id],
    );
    log.warn(
      { ...must(ended, 'the order is locked'), followMs },
      'the rebuild of the read models was ended, because more was written than could be built: order it again when less is written',
    );
    return 'nothing';
  };

  const step = (): Promise<Step | 'switch'> =>
    database.transaction(
      async (tx) => {
        const [order] = await tx.query<Order>(orderSql);
        if (!order) return 'nothing';
        // Tables of another version of the schema are not those that would be switched.
        if (order.phase === 'ordered' || order.schemaVersion !== order.currentVersion)
          return begin(tx, order);
        if (order.phase === 'copying') return copy(tx, order);
        if (order.followedMs >= followMs) return giveUp(tx, order);
        return (await follow(tx, order)) === 'more' ? 'more' : 'switch';
      },
      { isolation: 'repeatable read' },
    );

  const trySwitch = async (): Promise<Step> => {
    try {
      return await database.transaction(finish);
    } catch (error) {
      if (sqlState(error) === lockTimeout) return 'later';
      throw error;
    }
  };

  return {
    run: async (signal) => {
      for (let next: Step | 'switch' = 'more'; next === 'more'; ) {
        signal.throwIfAborted();
        next = await step();
        if (next === 'switch') next = await trySwitch();
      }
    },
  };
};
