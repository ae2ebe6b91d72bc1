import type { DomainEvent } from '@skein/contracts';
import type { Database, Queryable } from '@skein/postgres';
import type { Service } from '@skein/service-kit';
import type { Logger } from '@skein/telemetry';
import { backoffAfter, type EventBus, rememberedAs, type Subscription, subscriptionDefaults } from './bus.ts';
import { unsynced } from './unsynced.ts';

/** The bus of a mesh that has one database and no broker. */
export interface PostgresBusOptions {
  /** Any service's database of the shared server: the bus keeps its tables in a schema of its own. */
  readonly database: Database;
  /** Tells replicas apart. */
  readonly instance: string;
  readonly log: Logger;
  /** Longest wait between two looks when nothing happens. Default 250 ms. */
  readonly idleMs?: number;
}

const batch = 100;
const leaseMs = 10_000;
const firstPauseMs = 20;
const retryMs = 1_000;
const pruneEveryMs = 60_000;
const pruneBatch = 1_000;

/** Statements that may run at every start, under a lock, whoever comes first. */
const schemaSql = `
create schema if not exists skein_bus;
create table if not exists skein_bus.event (
  seq bigint generated always as identity primary key,
  xid xid8 not null default pg_current_xact_id(),
  stored_at timestamptz not null default now(),
  event_id text not null unique,
  type text not null,
  event text not null
);
create index if not exists event_order on skein_bus.event (xid, seq);
create index if not exists event_subject on skein_bus.event ((event::json ->> 'subject'));
create index if not exists event_time on skein_bus.event (stored_at);
create table if not exists skein_bus.consumer (
  name text primary key,
  xid xid8 not null,
  seq bigint not null,
  holder text,
  lease_until timestamptz not null default '-infinity'
);
create table if not exists skein_bus.store (id text not null);
insert into skein_bus.store (id) select gen_random_uuid()::text where not exists (select 1 from skein_bus.store);
`;

/**
 * Empties the bus in a database that was restored: the positions of its consumers are transaction ids of the server
 * that was. Its relays see a lost store and fill it again.
 */
export const emptyPostgresBus = async (db: Queryable): Promise<void> => {
  const [there] = await db.query<{ store: string | null }>(
    `select to_regclass('skein_bus.store')::text as store`,
  );
  if (!there?.store) return;
  await db.query('delete from skein_bus.event');
  await db.query(
    `update skein_bus.consumer set xid = '0', seq = 0, holder = null, lease_until = '-infinity'`,
  );
  await db.query('update skein_bus.store set id = gen_random_uuid()::text');
};

interface Row {
  readonly seq: number;
  readonly xid: string;
  readonly event: string;
}

/**
 * A durable bus on Postgres tables, polled. One replica of a consumer works at a time (lease); events come in
 * commit order. Meant for one machine: the same contract as JetStream, smaller.
 */
export const postgresBus = (options: PostgresBusOptions): EventBus => {
  const { database, instance, log, idleMs = 250 } = options;
  const wakers = new Set<() => void>();
  let pruneAt = 0;

  const prune = async () => {
    if (performance.now() < pruneAt) return;
    pruneAt = performance.now() + pruneEveryMs;
    for (;;) {
      const removed = await database.query(
        `delete from skein_bus.event where seq in (
           select seq from skein_bus.event where stored_at < now() - make_interval(secs => $1 / 1000.0)
           order by stored_at limit $2) returning 1`,
        [subscriptionDefaults.maxAgeMs, pruneBatch],
      );
      if (removed.length < pruneBatch) return;
    }
  };

  const subscribe = (subscription: Subscription): Service => {
    const { consumer, ackWaitMs, maxDeliver, backoffMs } = { ...subscriptionDefaults, ...subscription };
    const abort = new AbortController();
    let loop: Promise<void> = Promise.resolve();
    let wake = () => {};
    const wait = (timeoutMs: number) =>
      new Promise<void>((resolve) => {
        const done = () => {
          clearTimeout(timer);
          resolve();
        };
        const timer = setTimeout(done, timeoutMs);
        wake = done;
      });
    const wakeThis = () => wake();
    let renewAt = 0;

    const hold = async (): Promise<{ xid: string; seq: number } | undefined> => {
      renewAt = performance.now() + leaseMs / 3;
      const [row] = await database.query<{ xid: string; seq: number }>(
        `insert into skein_bus.consumer as c (name, xid, seq, holder, lease_until)
         values ($1, '0', 0, $2, now() + make_interval(secs => $3 / 1000.0))
         on conflict (name) do update set holder = $2, lease_until = excluded.lease_until
         where c.holder = $2 or c.lease_until < now()
         returning xid::text as xid, seq`,
        [consumer, instance, leaseMs + ackWaitMs],
      );
      return row;
    };

    const deliver = async (event: DomainEvent): Promise<void> => {
      for (let attempt = 1; !abort.signal.aborted; attempt += 1) {
        const last = attempt >= maxDeliver;
        const signal = AbortSignal.any([abort.signal, AbortSignal.timeout(ackWaitMs)]);
        try {
          await subscription.handle(event, { attempt, last, signal });
          return;
        } catch (error) {
          if (last) log.error({ consumer, event: event.id, err: error }, 'the event cannot be put aside');
          await wait(backoffAfter(attempt, backoffMs));
          // A long row of failures must not outlive the lease.
          if (!abort.signal.aborted && !(await hold()))
            throw new Error('another replica has the consumer now');
        }
      }
      throw new Error('the subscription was stopped');
    };

    const pump = async (): Promise<void> => {
      let at = await hold();
      let pauseMs = firstPauseMs;
      while (!abort.signal.aborted) {
        if (!at) {
          await wait(leaseMs / 2);
          at = await hold();
          continue;
        }
        const rows = await database.query<Row>(
          {
            name: 'bus-read',
            text: `select seq, xid::text as xid, event from skein_bus.event as e
                   where (xid, seq) > ($1::xid8, $2) and type = any($3::text[])
                     and xid < pg_snapshot_xmin(pg_current_snapshot())
                   order by e.xid, e.seq limit $4`,
          },
          [at.xid, at.seq, subscription.types, batch],
        );
        for (const row of rows) {
          await deliver(JSON.parse(row.event) as DomainEvent);
          const noted: { xid: string; seq: number }[] = await database.query(
            {
              name: 'bus-note',
              text: `update skein_bus.consumer set xid = $3::xid8, seq = $4,
                       lease_until = now() + make_interval(secs => $5 / 1000.0)
                     where name = $1 and holder = $2 returning xid::text as xid, seq, ${unsynced}`,
            },
            [consumer, instance, row.xid, row.seq, leaseMs + ackWaitMs],
          );
          at = noted[0];
          if (!at) break;
        }
        if (rows.length > 0) {
          pauseMs = firstPauseMs;
          continue;
        }
        await wait(pauseMs);
        pauseMs = Math.min(pauseMs * 2, idleMs);
        if (performance.now() >= renewAt) at = await hold();
      }
    };

    return {
      id: `consumer-${consumer}`,
      run: async () => {
        await hold();
        wakers.add(wakeThis);
        loop = (async () => {
          while (!abort.signal.aborted) {
            await pump().catch(async (error: unknown) => {
              if (abort.signal.aborted) return;
              log.warn({ consumer, err: error }, 'the consumer waits');
              await wait(retryMs);
            });
          }
        })();
      },
      stop: async () => {
        abort.abort();
        wakers.delete(wakeThis);
        wake();
        await loop;
        await database
          .query(`update skein_bus.consumer set lease_until = '-infinity' where name = $1 and holder = $2`, [
            consumer,
            instance,
          ])
          .catch((error: unknown) => log.debug({ err: error }, 'the lease runs out by itself'));
      },
    };
  };

  return {
    id: 'postgres-bus',
    run: () =>
      database.transaction(async (tx) => {
        await tx.query(`select pg_advisory_xact_lock(hashtextextended('skein bus', 0))`);
        for (const statement of schemaSql.split(';').filter((one) => one.trim() !== ''))
          await tx.query(statement);
      }),
    stop: async () => {},
    publish: async (events, options) => {
      const rows = await database.query<{ seq: number }>(
        {
          name: 'bus-publish',
          text: `insert into skein_bus.event (event_id, type, event)
                 select * from unnest($1::text[], $2::text[], $3::text[]) on conflict (event_id) do nothing
                 returning seq, ${unsynced}`,
        },
        [
          events.map((event) => rememberedAs(event, options)),
          events.map((event) => event.type),
          events.map((event) => JSON.stringify(event)),
        ],
      );
      for (const wake of wakers) wake();
      await prune();
      return { mark: Math.max(0, ...rows.map(({ seq }) => seq)) };
    },
    subscribe,
    store: async () => {
      const [row] = await database.query<{ id: string }>('select id from skein_bus.store');
      return { id: row?.id ?? '', boot: '' };
    },
    newest: async (types) => {
      const [row] = await database.query<{ seq: number; event: string }>(
        'select seq, event from skein_bus.event where type = any($1::text[]) order by seq desc limit 1',
        [types],
      );
      return row && { mark: row.seq, event: JSON.parse(row.event) as DomainEvent };
    },
    erase: async ({ subject, userId }) => {
      await database.query(
        `delete from skein_bus.event where event::json ->> 'subject' = $1
           and ($2::text is null or event::json #>> '{data,userId}' = $2)`,
        [subject, userId ?? null],
      );
    },
    // The store and the publishers' logs are one database: they are lost together or not at all.
    handled: async () => undefined,
  };
};
