import {
  AckPolicy,
  type ConsumerMessages,
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  type JsMsg,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
} from '@nats-io/jetstream';
import { headers, nanos } from '@nats-io/nats-core';
import { AppError, type DomainEvent, subjectOf } from '@skein/contracts';
import { backoffAfter, type EventBus, type Subscription, subscriptionDefaults } from '@skein/events';
import type { Service } from '@skein/service-kit';
import type { Logger } from '@skein/telemetry';
import type { NatsLink } from './connection.ts';

/** What the bus is made of. */
export interface JetStreamBusOptions {
  readonly link: NatsLink;
  readonly log: Logger;
  /** Copies of the stream in a cluster: 1 or 3. Default 1. */
  readonly replicas?: number;
}

const stream = 'SKEIN_EVENTS';
const subjects = 'skein.events.>';
/** The server's memory of message ids: a second publishing within it is not stored. */
const duplicateWindowMs = 120_000;
const publishTimeoutMs = 5_000;
/** In hand over all replicas of a consumer; more wait in the stream. */
const maxAckPending = 256;
/** The server waits this much longer than the handler may take, so that an answer is never late by a hair. */
const ackMarginMs = 5_000;
const retryMs = 500;
const streamNotFound = 10_059;

const ended = new Set(['consumer_not_found', 'consumer_deleted', 'stream_not_found', 'no_responders']);

/**
 * The durable bus on a JetStream stream with file storage. The stream is made when it is missing, also after the
 * server came back without its store. A delivery is never given up by the server: the handler's last one is
 * counted here, so that a process that dies in it loses nothing.
 */
export const jetStreamBus = ({ link, log, replicas = 1 }: JetStreamBusOptions): EventBus => {
  const config = {
    name: stream,
    subjects: [subjects],
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.Old,
    max_age: nanos(subscriptionDefaults.maxAgeMs),
    duplicate_window: nanos(duplicateWindowMs),
    num_replicas: replicas,
  };

  /** The stream's creation time: another one means another store. */
  const ensureStream = async (manager: JetStreamManager): Promise<string> => {
    try {
      return (await manager.streams.info(stream)).created;
    } catch (error) {
      if (!(error instanceof JetStreamApiError) || error.code !== streamNotFound) throw error;
    }
    // Two replicas may come here at once: adding what is there with the same configuration is fine.
    const made = await manager.streams.add(config);
    log.info({ stream }, 'made the event stream');
    return made.created;
  };

  const manager = () => jetstreamManager(link.get(), { checkAPI: false, timeout: publishTimeoutMs });

  const send = async (events: readonly DomainEvent[]): Promise<void> => {
    const js = jetstream(link.get(), { timeout: publishTimeoutMs });
    // Sent in order on one connection; the answers are awaited together.
    await Promise.all(
      events.map((event) => {
        const carried = headers();
        carried.set('correlation-id', event.correlationId);
        if (event.causationId !== undefined) carried.set('causation-id', event.causationId);
        if (event.traceparent !== undefined) carried.set('traceparent', event.traceparent);
        return js.publish(subjectOf(event), JSON.stringify(toCloudEvent(event)), {
          msgID: event.id,
          headers: carried,
        });
      }),
    );
  };

  const publish = async (events: readonly DomainEvent[]): Promise<void> => {
    try {
      // The first publishing of all, and the first after a lost store, finds no stream.
      await send(events).catch(async () => {
        await ensureStream(await manager());
        await send(events);
      });
    } catch (error) {
      throw new AppError('unavailable', 'the event bus did not take the events', { cause: error });
    }
  };

  const subscribe = (subscription: Subscription): Service => {
    const { consumer, ackWaitMs, maxDeliver, backoffMs } = { ...subscriptionDefaults, ...subscription };
    const abort = new AbortController();
    let loop: Promise<void> = Promise.resolve();
    let messages: ConsumerMessages | undefined;
    const inHand = new Set<Promise<void>>();
    /** The last delivery of each subject in hand: the next one waits for it. */
    const chains = new Map<string, Promise<void>>();

    const deliver = async (message: JsMsg): Promise<void> => {
      const attempt = message.info.deliveryCount;
      const signal = AbortSignal.any([abort.signal, AbortSignal.timeout(ackWaitMs)]);
      try {
        await subscription.handle(fromCloudEvent(message.json()), {
          attempt,
          last: attempt >= maxDeliver,
          signal,
        });
        message.ack();
      } catch (error) {
        if (attempt >= maxDeliver) {
          log.error({ consumer, subject: message.subject, err: error }, 'the event cannot be put aside');
        }
        message.nak(backoffAfter(attempt, backoffMs));
      }
    };

    const take = (message: JsMsg): void => {
      const before = chains.get(message.subject) ?? Promise.resolve();
      const work = before.then(() => deliver(message));
      chains.set(message.subject, work);
      inHand.add(work);
      void work.finally(() => {
        inHand.delete(work);
        if (chains.get(message.subject) === work) chains.delete(message.subject);
      });
    };

    const ensureConsumer = async () => {
      const jsm = await manager();
      await ensureStream(jsm);
      const wanted = {
        ack_policy: AckPolicy.Explicit,
        ack_wait: nanos(ackWaitMs + ackMarginMs),
        max_deliver: -1,
        max_ack_pending: maxAckPending,
        filter_subjects: subscription.types.map((type) => `skein.events.${type}.*`),
      };
      // Adding one that is there with another filter is an error: a new release may listen to more.
      const known = await jsm.consumers.info(stream, consumer).catch(() => undefined);
      if (known) await jsm.consumers.update(stream, consumer, wanted);
      else
        await jsm.consumers.add(stream, {
          ...wanted,
          durable_name: consumer,
          deliver_policy: DeliverPolicy.All,
        });
    };

    const pump = async (): Promise<void> => {
      await link.ready(abort.signal);
      await ensureConsumer();
      const js = jetstream(link.get());
      const pulled = await (await js.consumers.get(stream, consumer)).consume({
        max_messages: maxAckPending,
      });
      messages = pulled;
      if (abort.signal.aborted) pulled.stop();
      // consume() waits in silence when its consumer is gone: only the status says so.
      void (async () => {
        for await (const status of pulled.status()) {
          if (ended.has(status.type)) pulled.stop();
        }
      })();
      for await (const message of pulled) take(message);
    };

    const forever = async () => {
      while (!abort.signal.aborted) {
        await pump().catch((error: unknown) => {
          if (!abort.signal.aborted) log.warn({ consumer, err: error }, 'the consumer waits');
        });
        if (abort.signal.aborted) return;
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, retryMs);
          abort.signal.addEventListener(
            'abort',
            () => {
              clearTimeout(timer);
              resolve();
            },
            { once: true },
          );
        });
      }
    };

    return {
      id: `consumer-${consumer}`,
      run: async () => {
        loop = forever();
      },
      stop: async () => {
        messages?.stop();
        // What is in hand finishes; its acknowledgement must still find the connection.
        await Promise.allSettled(inHand);
        abort.abort();
        await loop;
      },
    };
  };

  return {
    id: 'jetstream-bus',
    run: async () => {},
    stop: async () => {},
    publish,
    subscribe,
    storeId: async () => {
      try {
        return await ensureStream(await manager());
      } catch (error) {
        throw new AppError('unavailable', 'the event bus (NATS) is away', { cause: error });
      }
    },
  };
};

/** CloudEvents 1.0 JSON, structured mode; our extra attributes in lower case as the specification wants. */
const toCloudEvent = (event: DomainEvent) => ({
  specversion: '1.0',
  id: event.id,
  type: event.type,
  source: event.source,
  time: new Date(event.time).toISOString(),
  subject: event.subject,
  datacontenttype: 'application/json',
  data: event.data,
  correlationid: event.correlationId,
  ...(event.causationId === undefined ? {} : { causationid: event.causationId }),
  ...(event.traceparent === undefined ? {} : { traceparent: event.traceparent }),
  dataschemaversion: event.schemaVersion,
});

type Wire = ReturnType<typeof toCloudEvent> & { causationid?: string; traceparent?: string };

const fromCloudEvent = (wire: Wire): DomainEvent => ({
  id: wire.id,
  type: wire.type,
  source: wire.source,
  time: Date.parse(wire.time),
  subject: wire.subject,
  data: wire.data,
  correlationId: wire.correlationid,
  ...(wire.causationid === undefined ? {} : { causationId: wire.causationid }),
  ...(wire.traceparent === undefined ? {} : { traceparent: wire.traceparent }),
  schemaVersion: wire.dataschemaversion,
});
