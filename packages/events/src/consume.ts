import { AppError, type DomainEvent, type DomainEventType, upcastDomainEvent } from '@skein/contracts';
import type { Database, Tx } from '@skein/postgres';
import type { Service } from '@skein/service-kit';
import { type Logger, type MetricRegistry, SpanKind, withSpan } from '@skein/telemetry';
import type { EventBus, Subscription } from './bus.ts';
import { subscriptionDefaults } from './bus.ts';
import { bury, inbox, inboxPruneBatch, noteHandled } from './inbox.ts';

/** A consumer whose effects are rows of its own database. */
export interface ConsumeOptions extends Omit<Subscription, 'handle'> {
  readonly bus: EventBus;
  readonly database: Database;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  /** Whether an event can have an effect at all; one that cannot is neither handled nor noted. Default: all can. */
  readonly wants?: (event: DomainEvent) => boolean;
  /** The effect, in the inbox's transaction; `signal` aborts when the delivery's time is up. */
  readonly handle: (event: DomainEvent, tx: Tx, signal: AbortSignal) => Promise<void>;
  /** After the commit of a first delivery; may be missed by a crash, so only for hints. */
  readonly committed?: (event: DomainEvent) => void;
}

/** A consumer as a part, which can be told to handle a dead letter again. */
export interface Consumer extends Service {
  readonly consumer: string;
  /**
   * Handles an event in the caller's transaction, unless the inbox knows it. Throws what the handler throws; the
   * transaction must then be rolled back.
   */
  redo(event: DomainEvent, tx: Tx, signal: AbortSignal): Promise<'done' | 'duplicate'>;
  /** As in `ConsumeOptions`; told after the commit of a `redo` as well. */
  readonly committed: ((event: DomainEvent) => void) | undefined;
}

/** Longer than the bus keeps events, so that nothing that can still come is forgotten. */
const inboxMs = subscriptionDefaults.maxAgeMs + 24 * 3_600_000;
const pruneEvery = 3_600_000;

const narrow = (event: DomainEvent, types: readonly DomainEventType[]): boolean => types.includes(event.type);

/**
 * Consumes events with effects made once: an inbox row in the effect's transaction. An event that fails on its
 * last delivery becomes a row of `dead_letter` and is acknowledged, so that it blocks nobody.
 */
export const consume = (options: ConsumeOptions): Consumer => {
  const { bus, database, log, consumer } = options;
  const seen = inbox(database, consumer);
  const handled = options.metrics.counter(
    'skein_consumer_events_total',
    'Deliveries by consumer and outcome: done, duplicate, again (it failed and comes back), dead',
  );
  const delay = options.metrics.histogram(
    'skein_consumer_delay_seconds',
    'Time from an event to its effect',
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
  );
  // There from the start: Prometheus does not see a series that begins with 1 rise.
  for (const outcome of ['again', 'dead']) handled.add(0, { consumer, outcome });
  let nextPrune = performance.now() + pruneEvery;

  const subscription = bus.subscribe({
    ...options,
    handle: async (event, { attempt, last, signal }) => {
      if (!narrow(event, options.types)) return;
      try {
        if (options.wants && !options.wants(upcastDomainEvent(event))) return;
        const { known, outcome } = await withSpan(
          `consume ${event.type}`,
          {
            kind: SpanKind.CONSUMER,
            traceparent: event.traceparent,
            attributes: { 'messaging.consumer.group.name': consumer, 'messaging.message.id': event.id },
          },
          async () => {
            const known = upcastDomainEvent(event);
            return { known, outcome: await seen.once(known, (tx) => options.handle(known, tx, signal)) };
          },
        );
        handled.add(1, { consumer, outcome });
        if (outcome === 'done') {
          delay.observe(Math.max(0, Date.now() - event.time) / 1_000, { consumer });
          options.committed?.(known);
        }
      } catch (error) {
        // What a later delivery can mend (a database that is away) is never buried, however often it failed.
        if (!last || (error instanceof AppError && error.row.retryable)) {
          handled.add(1, { consumer, outcome: 'again' });
          log.warn(
            { consumer, event: event.id, type: event.type, attempt, err: error },
            'the event will be delivered again',
          );
          throw error;
        }
        await bury(database, consumer, event, { error, attempts: attempt });
        handled.add(1, { consumer, outcome: 'dead' });
        log.error(
          { consumer, event: event.id, type: event.type, attempt, err: error },
          'the event is a dead letter now',
        );
      }
      if (performance.now() > nextPrune) {
        nextPrune = performance.now() + pruneEvery;
        while ((await seen.prune(inboxMs)) >= inboxPruneBatch);
      }
    },
  });
  return {
    ...subscription,
    consumer,
    committed: options.committed,
    redo: async (event, tx, signal) => {
      const known = upcastDomainEvent(event);
      if (!(await noteHandled(tx, consumer, known.id))) return 'duplicate';
      await options.handle(known, tx, signal);
      return 'done';
    },
  };
};
