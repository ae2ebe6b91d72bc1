import { AppError } from '@skein/contracts';
import type { Database } from '@skein/postgres';
import type { Service } from '@skein/service-kit';
import { type Logger, type MetricRegistry, SpanKind, withSpan } from '@skein/telemetry';
import { type EventBus, subscriptionDefaults } from './bus.ts';
import { type OutboxSource, outbox, type Position } from './outbox.ts';

/** What a relay is made of. */
export interface RelayOptions {
  readonly database: Database;
  /** Default: the service's outbox table. */
  readonly source?: OutboxSource;
  readonly bus: EventBus;
  /** Names the log; one relay per name is active over all replicas. */
  readonly name: string;
  /** Tells replicas apart. */
  readonly instance: string;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  /** Longest wait between two looks when nothing happens. Default 500 ms. */
  readonly idleMs?: number;
}

/** A relay as a part. */
export interface Relay extends Service {
  /** Something was committed: look now. */
  wake(): void;
}

const batch = 500;
/** A replica that dies leaves the log alone for this long. */
const leaseMs = 10_000;
const renewMs = 3_000;
/** While the bus or the database is away. */
const retryMs = { first: 100, most: 5_000 };
/** A look at whether the bus has lost its store. */
const storeCheckMs = 2_000;

/**
 * Publishes a log to the bus, in order, by one active replica. A crash between publishing and noting the
 * position publishes again with the same ids. When the bus has lost its store, everything the bus would still
 * keep is published again; inboxes make the effects happen once.
 */
export const relay = (options: RelayOptions): Relay => {
  const { database, bus, name, instance, log, source = outbox.source, idleMs = 500 } = options;
  const published = options.metrics.counter(
    'skein_relay_events_total',
    'Domain events published from the log',
  );
  /** When the log was last seen to hold nothing unpublished; undefined while another replica publishes it. */
  let caughtUpAt: number | undefined;
  options.metrics.gauge(
    'skein_relay_lag_seconds',
    'Time since the active relay last saw the end of its log: what is newer may not be published. 0 in other replicas.',
    () => (caughtUpAt === undefined ? 0 : (performance.now() - caughtUpAt) / 1_000),
  );
  let stopping = false;
  let wakeUp = () => {};
  let loop: Promise<void> = Promise.resolve();

  const wait = (timeoutMs: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      wakeUp = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  /** Takes or renews the lease; the fence names this holding of it. */
  const hold = async (): Promise<
    { fence: number; position: Position; storeId: string | null } | undefined
  > => {
    const [row] = await database.query<{
      fence: number;
      era: number;
      xid: string;
      seq: number;
      store_id: string | null;
    }>(
      `insert into relay as r (name, holder, fence, lease_until)
       values ($1, $2, 1, now() + make_interval(secs => $3 / 1000.0))
       on conflict (name) do update set
         fence = case when r.holder = $2 then r.fence else r.fence + 1 end,
         holder = $2, lease_until = excluded.lease_until
       where r.holder = $2 or r.lease_until < now()
       returning fence, era, xid::text as xid, seq, store_id`,
      [name, instance, leaseMs],
    );
    if (!row) return undefined;
    return {
      fence: row.fence,
      position: { era: row.era, xid: row.xid, seq: row.seq },
      storeId: row.store_id,
    };
  };

  const note = async (fence: number, position: Position, storeId: string): Promise<void> => {
    const rows = await database.query(
      {
        name: 'relay-note',
        text: `update relay set era = $3, xid = $4::xid8, seq = $5, store_id = $6
               where name = $1 and fence = $2 returning 1`,
      },
      [name, fence, position.era, position.xid, position.seq, storeId],
    );
    if (rows.length === 0) throw new AppError('conflict', 'another replica took the relay over');
  };

  /** Transaction ids restart after a logical restore: a position from before it would hide new rows for ever. */
  const refuseRestored = async (position: Position): Promise<void> => {
    const [row] = await database.query<{ ahead: boolean }>(
      'select $1::xid8 >= pg_snapshot_xmax(pg_current_snapshot()) as ahead',
      [position.xid],
    );
    if (row?.ahead) {
      throw new Error(
        `the relay ${name} is ahead of its log: this database was restored from a copy. See docs/how-to/restore-the-database.md`,
      );
    }
  };

  const pump = async (): Promise<void> => {
    const held = await hold();
    if (!held) {
      caughtUpAt = undefined;
      await wait(renewMs);
      return;
    }
    caughtUpAt ??= performance.now();
    let { position } = held;
    await refuseRestored(position);
    const storeId = await bus.storeId();
    if (held.storeId !== null && held.storeId !== storeId) {
      position = await source.before(database, Date.now() - subscriptionDefaults.maxAgeMs);
      log.warn({ relay: name }, 'the bus has lost its store: publishing again what it would still keep');
    }
    if (held.storeId !== storeId) await note(held.fence, position, storeId);
    let renewAt = performance.now() + renewMs;
    let checkAt = performance.now() + storeCheckMs;
    let pauseMs = 20;
    while (!stopping) {
      if (performance.now() >= renewAt) {
        const again = await hold();
        if (again?.fence !== held.fence) return;
        renewAt = performance.now() + renewMs;
      }
      if (performance.now() >= checkAt) {
        if ((await bus.storeId()) !== storeId) return;
        checkAt = performance.now() + storeCheckMs;
      }
      const readAt = performance.now();
      const rows = await source.read(database, position, batch);
      const last = rows.at(-1);
      if (!last) {
        caughtUpAt = readAt;
        await wait(pauseMs);
        pauseMs = Math.min(pauseMs * 2, idleMs);
        continue;
      }
      pauseMs = 20;
      const events = rows.flatMap(({ event }) => (event ? [event] : []));
      if (events.length > 0) {
        await withSpan(
          `relay ${name}`,
          {
            kind: SpanKind.PRODUCER,
            traceparent: events[0]?.traceparent,
            attributes: { 'messaging.batch.message_count': events.length },
          },
          () => bus.publish(events),
        );
        published.add(events.length, { relay: name });
      }
      position = last.position;
      await note(held.fence, position, storeId);
      if (rows.length < batch) caughtUpAt = readAt;
    }
  };

  const forever = async (): Promise<void> => {
    let delayMs = retryMs.first;
    while (!stopping) {
      try {
        await pump();
        delayMs = retryMs.first;
      } catch (error) {
        if (stopping) return;
        log.warn({ relay: name, err: error }, 'the relay waits');
        await wait(delayMs);
        delayMs = Math.min(delayMs * 2, retryMs.most);
      }
    }
  };

  return {
    id: `relay-${name}`,
    run: async () => {
      loop = forever();
    },
    wake: () => wakeUp(),
    stop: async () => {
      stopping = true;
      wakeUp();
      await loop;
      // The next holder need not wait for the lease to run out.
      await database
        .query(`update relay set lease_until = '-infinity' where name = $1 and holder = $2`, [name, instance])
        .catch((error: unknown) => log.debug({ err: error }, 'the lease runs out by itself'));
    },
  };
};
