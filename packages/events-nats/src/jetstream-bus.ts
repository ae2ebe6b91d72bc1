import {
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
} from '@nats-io/jetstream';
import { headers, nanos } from '@nats-io/nats-core';
import {
  AppError,
  type DomainEvent,
  type DomainEventType,
  fromCloudEvent,
  subjectOf,
  toCloudEvent,
} from '@skein/contracts';
import {
  type EventBus,
  type Published,
  type PublishOptions,
  rememberedAs,
  type StoredEvent,
  subscriptionDefaults,
} from '@skein/events';
import type { Logger } from '@skein/telemetry';
import type { NatsLink } from './connection.ts';
import { jetStreamSubscription } from './jetstream-subscription.ts';

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
/** Events that erasing reads in one request, and how long it waits for them. */
const eraseBatch = 500;
const eraseWaitMs = 2_000;
const streamNotFound = 10_059;

/** Undefined for what is no domain event: nothing of ours can have stored it. */
const readable = (message: { json<T>(): T }): DomainEvent | undefined => {
  try {
    return fromCloudEvent(message.json());
  } catch {
    return undefined;
  }
};

const subjectsOf = (type: DomainEventType): string => `skein.events.${type}.*`;

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

  /** Stores one event; its place in the stream. */
  const send = async (event: DomainEvent, options: PublishOptions | undefined): Promise<number> => {
    const carried = headers();
    carried.set('correlation-id', event.correlationId);
    if (event.causationId !== undefined) carried.set('causation-id', event.causationId);
    if (event.traceparent !== undefined) carried.set('traceparent', event.traceparent);
    const js = jetstream(link.get(), { timeout: publishTimeoutMs });
    const { seq } = await js.publish(subjectOf(event), JSON.stringify(toCloudEvent(event)), {
      msgID: rememberedAs(event, options),
      headers: carried,
    });
    return seq;
  };

  /** One in flight per subject, so that one that fails is not overtaken by its successor; subjects side by side. */
  const sendAll = async (events: readonly DomainEvent[], options?: PublishOptions): Promise<Published> => {
    const chains = new Map<string, Promise<number>>();
    for (const event of events) {
      const before = chains.get(event.subject) ?? Promise.resolve(0);
      const sent = before.then(async (mark) => Math.max(mark, await send(event, options)));
      chains.set(event.subject, sent);
    }
    return { mark: Math.max(0, ...(await Promise.all(chains.values()))) };
  };

  const publish = async (events: readonly DomainEvent[], options?: PublishOptions): Promise<Published> => {
    try {
      // The first publishing of all, and the first after a lost store, finds no stream.
      return await sendAll(events, options).catch(async () => {
        await ensureStream(await manager());
        return sendAll(events, options);
      });
    } catch (error) {
      throw new AppError('unavailable', 'the event bus did not take the events', { cause: error });
    }
  };

  const asked = async <T>(work: (jsm: JetStreamManager) => Promise<T>, signal?: AbortSignal): Promise<T> => {
    try {
      return await work(await manager());
    } catch (error) {
      // Who asked has no more time: that says nothing about the bus.
      signal?.throwIfAborted();
      throw new AppError('unavailable', 'the event bus (NATS) is away', { cause: error });
    }
  };

  return {
    id: 'jetstream-bus',
    run: async () => {},
    stop: async () => {},
    publish,
    subscribe: (subscription) =>
      jetStreamSubscription(subscription, {
        link,
        stream,
        log,
        ready: async () => {
          const jsm = await manager();
          await ensureStream(jsm);
          return jsm;
        },
      }),
    store: () =>
      asked(async (jsm) => ({ id: await ensureStream(jsm), boot: link.get().info?.server_id ?? '' })),
    newest: (types) =>
      asked(async (jsm) => {
        let newest: StoredEvent | undefined;
        for (const type of types) {
          const message = await jsm.streams.getMessage(stream, { last_by_subj: subjectsOf(type) });
          const event = message && readable(message);
          if (event && message.seq > (newest?.mark ?? 0)) newest = { mark: message.seq, event };
        }
        return newest;
      }),
    erase: ({ subject, userId }, signal) =>
      asked(async (jsm) => {
        await ensureStream(jsm);
        // The two tokens of a type, then the subject.
        const filter = `skein.events.*.*.${subject}`;
        if (userId === undefined) {
          await jsm.streams.purge(stream, { filter });
          return;
        }
        const consumer = await jetstream(link.get(), { timeout: publishTimeoutMs }).consumers.get(stream, {
          filter_subjects: filter,
        });
        try {
          let left = (await consumer.info()).num_pending;
          while (left > 0) {
            signal?.throwIfAborted();
            let none = true;
            const theirs: number[] = [];
            for await (const message of await consumer.fetch({
              max_messages: Math.min(left, eraseBatch),
              expires: eraseWaitMs,
            })) {
              none = false;
              const data: unknown = readable(message)?.data;
              if ((data as { readonly userId?: unknown } | undefined)?.userId === userId)
                theirs.push(message.seq);
              left = message.info.pending;
            }
            // Each is overwritten on disk, which takes the server milliseconds: whoever has no more time for all of them
            // asks again, and those that are gone are not read any more.
            for (const seq of theirs) {
              signal?.throwIfAborted();
              await jsm.streams.deleteMessage(stream, seq, true);
            }
            // A slow server, or what was left is removed by now.
            if (none) left = (await consumer.info()).num_pending;
          }
        } finally {
          // Forgotten by the server in time when it cannot be reached.
          await consumer.delete().catch((error: unknown) => log.debug({ err: error }, 'a reader stays'));
        }
      }, signal),
    handled: (types) =>
      asked(async (jsm) => {
        const wanted = new Set(types.map(subjectsOf));
        // Read first: what is stored after this is not counted as handled.
        const { last_seq: last } = (await jsm.streams.info(stream)).state;
        let lowest: number | undefined;
        for await (const { config: consumer, ack_floor, num_pending, num_ack_pending } of jsm.consumers.list(
          stream,
        )) {
          const filters = consumer.filter_subjects ?? [consumer.filter_subject ?? ''];
          if (!filters.some((subject) => wanted.has(subject))) continue;
          const floor = num_pending + num_ack_pending === 0 ? last : ack_floor.stream_seq;
          lowest = Math.min(lowest ?? floor, floor);
        }
        return lowest;
      }),
  };
};
