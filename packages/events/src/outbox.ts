import { checkDomainEvent, type DomainEvent } from '@skein/contracts';
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

/** A log that a relay publishes from. */
export interface OutboxSource {
  /**
   * Rows after a position in (era, xid, seq) order, none that an open transaction could still precede. A row
   * without an event has nothing to publish but moves the position.
   */
  read(
    database: Queryable,
    after: Position,
    limit: number,
  ): Promise<readonly { readonly position: Position; readonly event: DomainEvent | null }[]>;
  /** The place just before the first row written at or after a time (epoch milliseconds). */
  before(database: Queryable, timeMs: number): Promise<Position>;
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

/** Rows that no open transaction can still precede; the fragment every gap-safe reader shares. */
export const gapSafe = `xid < pg_snapshot_xmin(pg_current_snapshot())`;

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
                   and (era < (select max(era) from outbox) or ${gapSafe})
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
