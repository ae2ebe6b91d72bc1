import {
  AckPolicy,
  type ConsumerMessages,
  DeliverPolicy,
  type JetStreamManager,
  type JsMsg,
  jetstream,
} from '@nats-io/jetstream';
import { nanos } from '@nats-io/nats-core';
import { type DomainEvent, fromCloudEvent } from '@skein/contracts';
import { backoffAfter, type Subscription, subscriptionDefaults } from '@skein/events';
import type { Service } from '@skein/service-kit';
import type { Logger } from '@skein/telemetry';
import type { NatsLink } from './connection.ts';

/** What a subscription is made of. */
export interface JetStreamSubscriptionOptions {
  readonly link: NatsLink;
  readonly stream: string;
  /** The API of a server on which the stream exists. */
  readonly ready: () => Promise<JetStreamManager>;
  readonly log: Logger;
}

/** In hand over all replicas of a consumer; more wait in the stream. */
const maxAckPending = 256;
/** The server waits this much longer than the handler may take, so that an answer is never late by a hair. */
const ackMarginMs = 5_000;
const retryMs = 500;
/** One may be lost on the way; after two in a row nothing is to be expected of this pull. */
const maxHeartbeatsMissed = 2;

const ended = new Set(['consumer_not_found', 'consumer_deleted', 'stream_not_found', 'no_responders']);

/** A durable consumer as a part: pulls, hands over in order per subject, and is made again when the server lost it. */
export const jetStreamSubscription = (
  subscription: Subscription,
  { link, stream, ready, log }: JetStreamSubscriptionOptions,
): Service => {
  const { consumer, ackWaitMs, maxDeliver, backoffMs } = { ...subscriptionDefaults, ...subscription };
  const abort = new AbortController();
  let loop: Promise<void> = Promise.resolve();
  let messages: ConsumerMessages | undefined;
  const inHand = new Set<Promise<void>>();
  /** The last delivery of each subject in hand: the next one waits for it. */
  const chains = new Map<string, Promise<void>>();

  /** Undefined for what no publisher of ours can have stored: it is put away for good, or it would come for ever. */
  const read = (message: JsMsg): DomainEvent | undefined => {
    try {
      return fromCloudEvent(message.json());
    } catch (error) {
      log.error({ consumer, subject: message.subject, err: error }, 'a stored message is no domain event');
      message.term('no domain event');
      return undefined;
    }
  };

  const deliver = async (message: JsMsg): Promise<void> => {
    const event = read(message);
    if (!event) return;
    const attempt = message.info.deliveryCount;
    const signal = AbortSignal.any([abort.signal, AbortSignal.timeout(ackWaitMs)]);
    try {
      await subscription.handle(event, { attempt, last: attempt >= maxDeliver, signal });
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
    const jsm = await ready();
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
        const silent = status.type === 'heartbeats_missed' && status.count >= maxHeartbeatsMissed;
        if (silent || ended.has(status.type)) pulled.stop();
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
