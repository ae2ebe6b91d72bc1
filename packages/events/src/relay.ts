import { checkDomainEvent, type DomainEvent, type DomainEventType, domainEvents } from '@skein/contracts';
import type { Database } from '@skein/postgres';
import type { Service } from '@skein/service-kit';
import { type Logger, type MetricRegistry, SpanKind, withSpan } from '@skein/telemetry';
import type { EventBus, LiveBus } from './bus.ts';
import { handledMark } from './handled-mark.ts';
import { type OutboxRow, type OutboxSource, outbox } from './outbox.ts';
import { anchor, RestoredDatabase } from './relay-anchor.ts';
import { type RelayChange, relayRow } from './relay-row.ts';
import { streamOrder } from './stream-order.ts';

/** What a relay is made of. */
export interface RelayOptions {
  readonly database: Database;
  /** Default: the service's outbox table. */
  readonly source?: OutboxSource;
  readonly bus: EventBus;
  /** Carries the wake-ups of replicas that do not hold the lease to the one that does; without it that one looks. */
  readonly live?: LiveBus;
  /** Names the log, and is the source of its events; one relay per name is active over all replicas. */
  readonly name: string;
  /** Tells replicas apart. */
  readonly instance: string;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  /**
   * Longest wait between two looks when nothing happens, and so the longest that something waits here of which no
   * wake-up came through. Default 500 ms.
   */
  readonly idleMs?: number;
}

/** A relay as a part. */
export interface Relay extends Service {
  /** Something that leaves was committed here: the replica that publishes looks now, which the live bus tells it. */
  wake(): void;
}

const batch = 500;
/** The first wait when there is nothing to publish; each one after it is twice as long. */
const firstPauseMs = 20;
const renewMs = 3_000;
/** While the bus or the database is away. */
const retryMs = { first: 100, most: 5_000 };
/** A wake-up says nothing but that. */
const nothing = new Uint8Array();
/** A look at whether the bus has lost its store, and at how far its consumers are. */
const storeCheckMs = 2_000;

/**
 * Publishes a log to the bus, in order, by one active replica. A crash between publishing and noting the
 * position publishes again with the same ids. When the bus has lost its store, what not every consumer has handled is
 * published again; inboxes make the effects happen once. A replica takes the lease at once from one that does not know
 * all of its events, as during an upgrade, and publishes what that one passed over. On a database that was restored it
 * publishes nothing until a person has re-anchored it: see `anchor`.
 */
export const relay = (options: RelayOptions): Relay => {
  const { database, bus, live, name, instance, log, source = outbox.source, idleMs = 500 } = options;
  const types =
    source.types ??
    (Object.keys(domainEvents) as DomainEventType[]).filter((type) => domainEvents[type].source === name);
  const kinds = types.map((type) => `${type}@${domainEvents[type].version}`);
  const events = options.metrics.counter(
    'skein_relay_events_total',
    'Domain events of the log by what became of them: published, or kept back as not in the catalogue',
  );
  const refused = options.metrics.gauge(
    'skein_relay_refused',
    '1 while a relay publishes nothing because its database looks restored',
  );
  const row = relayRow(database, name, instance, kinds);
  /** When the log was last seen to hold nothing unpublished; undefined while another replica publishes it. */
  let caughtUpAt: number | undefined;
  options.metrics.gauge(
    'skein_relay_lag_seconds',
    'Time since the active relay last saw the end of its log: what is newer may not be published. 0 in other replicas.',
    () => (caughtUpAt === undefined ? 0 : (performance.now() - caughtUpAt) / 1_000),
  );
  let stopping = false;
  let holding = false;
  let wakeUp = () => {};
  let woken = false;
  let loop: Promise<void> = Promise.resolve();
  const bell = `skein.relay.${name}`;
  let unsubscribe: (() => void) | undefined;

  /** Waits until it is woken, or was since the last wait: then it is true. */
  const wait = async (timeoutMs: number): Promise<boolean> => {
    if (!woken)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, timeoutMs);
        wakeUp = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    const early = woken;
    woken = false;
    return early;
  };

  const look = () => {
    woken = true;
    wakeUp();
  };

  const wake = () => {
    look();
    if (!holding) live?.publish(bell, nothing);
  };

  /** The events that may leave. One that may not is a fault of the writer; it must not hold up the others. */
  const lawful = (rows: readonly OutboxRow[]): DomainEvent[] =>
    rows.flatMap(({ event }) => {
      if (!event) return [];
      try {
        return [checkDomainEvent(event)];
      } catch (error) {
        events.add(1, { relay: name, outcome: 'kept back' });
        log.error({ relay: name, event: event.id, type: event.type, err: error }, 'this event may not leave');
        return [];
      }
    });

  const publish = (leaving: readonly DomainEvent[], againBeforeMs: number) =>
    withSpan(
      `relay ${name}`,
      {
        kind: SpanKind.PRODUCER,
        traceparent: leaving[0]?.traceparent,
        attributes: { 'messaging.batch.message_count': leaving.length },
      },
      () => bus.publish(leaving, { againBeforeMs }),
    );

  const pump = async (): Promise<void> => {
    const held = await row.hold();
    holding = held !== undefined;
    if (!held) {
      caughtUpAt = undefined;
      await wait(renewMs);
      return;
    }
    caughtUpAt ??= performance.now();
    const store = await bus.store();
    let state: RelayChange = await anchor(held, store, { name, types, kinds, database, source, bus, log });
    refused.set(0, { relay: name });
    await row.note(held.fence, state);
    const order = streamOrder(source);
    const marks = handledMark();
    let renewAt = performance.now() + renewMs;
    let checkAt = performance.now() + storeCheckMs;
    let pauseMs = firstPauseMs;
    while (!stopping) {
      if (performance.now() >= renewAt) {
        holding = (await row.hold())?.fence === held.fence;
        if (!holding) return;
        renewAt = performance.now() + renewMs;
      }
      if (performance.now() >= checkAt) {
        const now = await bus.store();
        if (now.id !== store.id || now.boot !== store.boot) return;
        const reached = await bus.handled(types);
        const handled = reached === undefined ? undefined : marks.at(reached);
        if (handled) {
          state = { ...state, handled };
          await row.note(held.fence, state);
        }
        checkAt = performance.now() + storeCheckMs;
      }
      const readAt = performance.now();
      const rows = await order(database, await source.read(database, state.position, batch));
      const last = rows.at(-1);
      const leaving = lawful(rows);
      const newest = leaving.at(-1);
      if (newest && last) {
        const { mark } = await publish(leaving, held.replayedAtMs);
        marks.published(mark, last.position);
        events.add(leaving.length, { relay: name, outcome: 'published' });
      }
      if (last) {
        state = { ...state, position: last.position, newestMs: newest?.time ?? state.newestMs };
        await row.note(held.fence, state);
      }
      const whole = rows.length < batch;
      if (whole) caughtUpAt = readAt;
      // Passing over what stays here has no hurry, and costs the log's writers time: what leaves wakes us up.
      if (newest || !whole) pauseMs = firstPauseMs;
      else pauseMs = (await wait(pauseMs)) ? firstPauseMs : Math.min(pauseMs * 2, idleMs);
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
        holding = false;
        if (error instanceof RestoredDatabase) {
          refused.set(1, { relay: name });
          log.error({ relay: name }, error.message);
        } else log.warn({ relay: name, err: error }, 'the relay waits');
        await wait(delayMs);
        delayMs = Math.min(delayMs * 2, retryMs.most);
      }
    }
  };

  return {
    id: `relay-${name}`,
    run: async () => {
      await row.announce();
      unsubscribe = live?.subscribe(bell, () => {
        if (holding) look();
      });
      loop = forever();
    },
    wake,
    stop: async () => {
      stopping = true;
      unsubscribe?.();
      look();
      await loop;
      await row
        .release()
        .catch((error: unknown) => log.debug({ err: error }, 'the lease runs out by itself'));
    },
  };
};
