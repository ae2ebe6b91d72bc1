import { checkDomainEvent, type DomainEvent, type DomainEventType } from '@skein/contracts';
import type { Database, Queryable, Tx } from '@skein/postgres';

/**
 * A place in a log that many transactions write to. Sequence numbers alone are not commit order: a row is safe
 * to read past only when no transaction below its xid is still open. `era` is raised after a restore, because
 * transaction ids do not survive one.
 */
export interface Position {
  readonly era: number;
  readonly xid: string;
  readonly seq: number;
}

/** Before everything. */
export const originPosition: Position = { era: 0, xid: '0', seq: 0 };

/** Whether a reader at `one` has `other` still ahead. */
export const isBefore = (one: Position, other: Position): boolean => {
  if (one.era !== other.era) return one.era < other.era;
  const [xid, otherXid] = [BigInt(one.xid), BigInt(other.xid)];
  return xid === otherXid ? one.seq < other.seq : xid < otherXid;
};

/** A row of a log. Without an event it has nothing to publish but moves the position. */
export interface OutboxRow {
  readonly position: Position;
  readonly event: DomainEvent | null;
  /** Where the row has a place in a stream without gaps. */
  readonly place?: { readonly stream: string; readonly offset: number };
}

/** A log that a relay publishes from. */
export interface OutboxSource {
  /** Types of the events that it has. Default: what the catalogue has of the relay's name. */
  readonly types?: readonly DomainEventType[];
  /** Rows after a position in (era, xid, seq) order, none that an open transaction could still precede. */
  read(database: Queryable, after: Position, limit: number): Promise<readonly OutboxRow[]>;
  /** The place just before the first row written at or after a time (epoch milliseconds). */
  before(database: Queryable, timeMs: number): Promise<Position>;
  /** The last row in the order of positions, and when it was written. */
  newest(database: Queryable): Promise<{ readonly position: Position; readonly timeMs: number } | undefined>;
  /**
   * Whether an event that was published is in the log. Also true for one that was erased on purpose: otherwise the log
   * would look like an older copy. So an erasure keeps the row with its id, or removes a stream whole.
   */
  has(database: Queryable, event: DomainEvent): Promise<boolean>;
  /** Of a log with streams: the rows of one with offsets between the two, in order. */
  between?(database: Queryable, stream: string, after: number, before: number): Promise<readonly OutboxRow[]>;
}

/**
 * Tables of a service that publishes or consumes: append it to the service's migrations. The outbox is for
 * services without an event log of their own.
 */
export const eventTablesSql = `
create table outbox (
  seq bigint generated always as identity primary key,
  era int not null default 1,
  xid xid8 not null default pg_current_xact_id(),
  written_at timestamptz not null default now(),
  event_id text not null unique,
  event text not null
);
create index outbox_order on outbox (era, xid, seq);
create index outbox_time on outbox (written_at);
create table relay (
  name text primary key,
  era int not null default 0,
  xid xid8 not null default '0',
  seq bigint not null default 0,
  store_id text,
  holder text,
  fence bigint not null default 0,
  lease_until timestamptz not null default '-infinity'
);
create table inbox (
  consumer text not null,
  event_id text not null,
  handled_at timestamptz not null default now(),
  primary key (consumer, event_id)
);
create index inbox_time on inbox (handled_at);
create table dead_letter (
  consumer text not null,
  event_id text not null,
  event text not null,
  error text not null,
  attempts int not null,
  died_at timestamptz not null default now(),
  primary key (consumer, event_id)
);
`;

/** Finds what an outbox has about somebody who is erased. A migration after `eventTablesSql`. */
export const outboxSubjectsSql = `
create index outbox_subject on outbox ((event::json ->> 'subject'));
`;

/** What the holder of a relay's lease publishes, and what was passed over. A migration after `eventAdminSql`. */
export const relayKindsSql = `
alter table relay
  add column kinds text[] not null default '{}',
  add column passed_over jsonb not null default '{}';
`;

/**
 * What operators need: signs of a restore, replays, re-anchoring and a journal of who did what and why. A migration
 * after `eventTablesSql`. `log` is the table relays read (with the columns era and xid); `reanchored` are statements
 * of the service's own that belong to a re-anchoring.
 */
export const eventAdminSql = ({ log = 'outbox', reanchored = '' } = {}): string => `
alter table relay
  add column boot text not null default '',
  add column bus_mark bigint not null default 0,
  add column system_id text,
  add column handled text,
  add column newest_at timestamptz,
  add column replay_from timestamptz,
  add column replayed_at timestamptz;
create index dead_letter_page on dead_letter (died_at, consumer, event_id);
create table event_admin (
  id bigint generated always as identity primary key,
  at timestamptz not null default now(),
  verb text not null check (verb in ('retry', 'drop', 'replay', 'reanchor')),
  target text not null,
  outcome text not null,
  actor text not null,
  reason text not null
);
-- One row. New rows of the log belong to this era; all that was written in an earlier one is committed.
create table log_era (era int not null);
insert into log_era select coalesce(max(era), 1) from ${log};
create function reanchor(by_whom text, why text) returns int language plpgsql set search_path from current as $$
declare
  next_era int;
  held text;
begin
  select name into held from relay where lease_until > now() limit 1;
  if found then
    raise exception 'the relay % is running: stop all services first', held using errcode = 'object_in_use';
  end if;
  update log_era set era = era + 1 returning era into next_era;
  execute format('alter table ${log} alter column era set default %s', next_era);
  update relay set store_id = null, boot = '', bus_mark = 0, system_id = null, handled = null,
    replay_from = '-infinity', replayed_at = now(), fence = fence + 1;
  ${reanchored}
  insert into event_admin (verb, target, outcome, actor, reason)
    values ('reanchor', '${log}', format('era %s', next_era), by_whom, why);
  return next_era;
end $$;
`;

/** Rows that no open transaction can still precede; the fragment every gap-safe reader shares. */
export const gapSafe = `(era < (select e.era from log_era e) or xid < pg_snapshot_xmin(pg_current_snapshot()))`;

/** The outbox table of a service: writes happen in the effect's own transaction. */
export const outbox = {
  /** Adds events in the caller's transaction: they leave if and only if it commits. */
  append: async (tx: Tx, events: readonly DomainEvent[]): Promise<void> => {
    if (events.length === 0) return;
    for (const event of events) checkDomainEvent(event);
    await tx.query(
      {
        name: 'outbox-append',
        text: 'insert into outbox (event_id, event) select * from unnest($1::text[], $2::text[])',
      },
      [events.map((event) => event.id), events.map((event) => JSON.stringify(event))],
    );
  },
  /** The table as a relay's source. */
  source: {
    read: async (database, after, limit) => {
      const rows = await database.query<{ era: number; xid: string; seq: number; event: string }>(
        {
          name: 'outbox-read',
          text: `select era, xid::text as xid, seq, event from outbox
                 where (era, xid, seq) > ($1, $2::xid8, $3)
                   and ${gapSafe}
                 order by outbox.era, outbox.xid, outbox.seq limit $4`,
        },
        [after.era, after.xid, after.seq, limit],
      );
      return rows.map(({ era, xid, seq, event }) => ({
        position: { era, xid, seq },
        event: JSON.parse(event) as DomainEvent,
      }));
    },
    before: async (database, timeMs) => {
      const [row] = await database.query<{ era: number; xid: string; seq: number }>(
        `select era, xid::text as xid, seq - 1 as seq from outbox
         where written_at >= to_timestamp($1 / 1000.0) order by outbox.era, outbox.xid, outbox.seq limit 1`,
        [timeMs],
      );
      return row ?? originPosition;
    },
    newest: async (database) => {
      const [row] = await database.query<{ era: number; xid: string; seq: number; timeMs: number }>(
        `select era, xid::text as xid, seq, extract(epoch from written_at)::float8 * 1000 as "timeMs" from outbox
         order by outbox.era desc, outbox.xid desc, outbox.seq desc limit 1`,
      );
      return row && { position: { era: row.era, xid: row.xid, seq: row.seq }, timeMs: row.timeMs };
    },
    has: async (database, event) =>
      (await database.query('select 1 from outbox where event_id = $1', [event.id])).length > 0,
  } satisfies OutboxSource as OutboxSource,
  /** Removes at most 1,000 rows that every bus has forgotten as well; returns how many. */
  prune: async (database: Database, olderThanMs: number): Promise<number> => {
    const rows = await database.query(
      `delete from outbox where seq in (
         select seq from outbox where written_at < now() - make_interval(secs => $1 / 1000.0)
         order by written_at limit 1000) returning 1`,
      [olderThanMs],
    );
    return rows.length;
  },
};
