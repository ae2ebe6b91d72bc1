import { type DomainEvent, type DomainEventType, upcastDomainEvent } from '@skein/contracts';
import type { Database } from '@skein/postgres';
import type { Logger } from '@skein/telemetry';
import { type BusStore, type EventBus, subscriptionDefaults } from './bus.ts';
import { isBefore, type OutboxSource, type Position } from './outbox.ts';
import { type RelayChange, type RelayRow, systemIdOf } from './relay-row.ts';

/** What is looked at before a relay publishes. */
export interface AnchorOptions {
  readonly name: string;
  readonly types: readonly DomainEventType[];
  /** What this replica can publish, as `relayRow` knows it. */
  readonly kinds: readonly string[];
  readonly database: Database;
  readonly source: OutboxSource;
  readonly bus: EventBus;
  readonly log: Logger;
}

/**
 * A server that does not sync every write may have lost what it stored last when it went down: by default JetStream
 * syncs every two minutes.
 */
const tailMs = 150_000;

/** The database is not the one whose events were published. A person has to decide. */
export class RestoredDatabase extends Error {
  override readonly name = 'RestoredDatabase';
  constructor(relay: string, sign: string) {
    super(
      `the relay ${relay} publishes nothing: ${sign}. If this database was restored, imported or failed over, stop all services and run "skein db reanchor"; see docs/how-to/restore-the-database.md`,
    );
  }
}

/** Whether we can have published it; a newer release may have, and is not judged. */
const isLawful = (event: DomainEvent): boolean => {
  try {
    upcastDomainEvent(event);
    return true;
  } catch {
    return false;
  }
};

/** Throws for a log that is not the continuation of what was published. */
const refuseRestored = async (
  row: RelayRow,
  systemId: string,
  { name, types, database, source, bus }: AnchorOptions,
): Promise<void> => {
  const refuse = (sign: string): never => {
    throw new RestoredDatabase(name, sign);
  };
  if (row.systemId && systemId && row.systemId !== systemId)
    refuse(`the database was on the server ${row.systemId} and is on ${systemId} now`);
  const newest = await source.newest(database);
  const [{ era = 1, xmax = '0' } = {}] = await database.query<{ era: number; xmax: string }>(
    'select era, pg_snapshot_xmax(pg_current_snapshot())::text as xmax from log_era',
  );
  // Transaction ids begin again on another server: such a row would hide new ones for ever.
  for (const place of [row.position, newest?.position])
    if (place?.era === era && BigInt(place.xid) >= BigInt(xmax))
      refuse(`its log has transaction ${place.xid}, and the server is only at ${xmax}`);
  const stored = await bus.newest(types);
  const kept = Date.now() - subscriptionDefaults.maxAgeMs;
  // Older ones may be gone from the outbox.
  if (!stored || stored.mark <= row.busMark || stored.event.time < kept || !isLawful(stored.event)) return;
  if (!(await source.has(database, stored.event)))
    refuse(`the bus has the event ${stored.event.id}, and the log does not`);
};

const earlier = (one: Position, other: Position): Position => (isBefore(one, other) ? one : other);
const later = (one: Position, other: Position): Position => (isBefore(one, other) ? other : one);

/**
 * Where a relay begins, once it has been made sure that it may. From where it stopped; from further back when a command
 * asks for it, when the bus has lost its store (what not every consumer has handled) or was started anew (the tail),
 * or where a holder of another release began to pass over what this one publishes.
 */
export const anchor = async (
  row: RelayRow,
  store: BusStore,
  options: AnchorOptions,
): Promise<RelayChange> => {
  const { name, types, kinds, database, source, bus, log } = options;
  const systemId = await systemIdOf(database);
  const sameStore = row.storeId === store.id;
  // Another store knows nothing that could contradict the log.
  if (sameStore) await refuseRestored(row, systemId, options);
  else await refuseRestored({ ...row, busMark: Number.POSITIVE_INFINITY }, systemId, options);

  let { position } = row;
  const backTo = async (timeMs: number) => {
    position = earlier(position, await source.before(database, timeMs));
  };
  if (row.replayFromMs !== undefined) {
    // After a restore the newest event may be older than what the bus would keep by today's clock.
    const newestMs = (await source.newest(database))?.timeMs ?? Date.now();
    const fromMs = Math.max(row.replayFromMs, newestMs - subscriptionDefaults.maxAgeMs);
    log.info({ relay: name, from: new Date(fromMs).toISOString() }, 'publishing again, as it was told to');
    await backTo(fromMs);
  }
  if (row.storeId !== undefined && !sameStore) {
    log.warn({ relay: name }, 'the bus has lost its store: publishing again what may not be handled yet');
    const kept = await source.before(database, Date.now() - subscriptionDefaults.maxAgeMs);
    position = earlier(position, row.handled && isBefore(kept, row.handled) ? row.handled : kept);
  }
  if (sameStore && row.boot !== store.boot && row.newestMs !== undefined) {
    log.info({ relay: name }, 'the bus was started anew: publishing the last minutes again');
    await backTo(row.newestMs - tailMs);
  }
  const missing = kinds.map((kind) => row.passedOver.get(kind)).filter((at) => at !== undefined);
  const since = missing.reduce(earlier, position);
  const isBack = isBefore(since, position);
  if (isBack) {
    log.info({ relay: name }, 'publishing again from where a replica of another release passed events over');
    // Nobody remembers having handled what is older.
    const kept = await source.before(database, Date.now() - subscriptionDefaults.maxAgeMs);
    position = earlier(position, later(since, kept));
  }
  const passedOver = new Map(row.passedOver);
  for (const [kind, at] of passedOver) passedOver.set(kind, at ?? row.position);
  for (const kind of kinds) passedOver.set(kind, undefined);

  return {
    ...row,
    position,
    storeId: store.id,
    boot: store.boot,
    // What is on the bus at the first meeting is not ours to judge.
    busMark: row.storeId === undefined ? ((await bus.newest(types))?.mark ?? 0) : sameStore ? row.busMark : 0,
    systemId: systemId === '' ? row.systemId : systemId,
    // Marks of another store, or of a position that is behind us again, say nothing.
    handled: sameStore && row.replayFromMs === undefined && !isBack ? row.handled : undefined,
    replayFromMs: undefined,
    passedOver,
  };
};
