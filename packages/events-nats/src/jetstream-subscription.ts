import { setTimeout as pause } from 'node:timers/promises';
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
/** The server waits longer than the handler may take, by as much again up to this, so that an answer is never late by a hair. */
const maxAckMarginMs = 5_000;
const retryMs = 500;
/** One may be lost on the way; after two in a row nothing is to be expected of this pull. */
const maxHeartbeatsMissed = 2;

const ended = new Set(['consumer_not_found', 'consumer_deleted', 'stream_not_found', 'no_responders']);

/** Waits, or until the signal aborts. */
const waited = (ms: number, signal: AbortSignal): Promise<void> =>
  pause(ms, undefined, { signal }).catch(() => {});

/** A message that was pulled and is neither acknowledged nor given back. */
interface InHand {
  /** Of several deliveries of the same event, the newest. */
  message: JsMsg;
  work: Promise<void>;
}

/**
 * A durable consumer as a part: pulls, hands over one event of a subject at a time, and is made again when the server
 * lost it. What waits in hand, for the one before it or for its next attempt, is kept alive at the server, so that only
 * attempts count as deliveries. One that failed stays in hand until it is done: the next of its subject never overtakes.
 */
export const jetStreamSubscription = (
  subscription: Subscription,
  { link, stream, ready, log }: JetStreamSubscriptionOptions,
): Service => {
  const { consumer, ackWaitMs, maxDeliver, backoffMs } = { ...subscriptionDefaults, ...subscription };
  const serverWaitMs = ackWaitMs + Math.min(ackWaitMs, maxAckMarginMs);
  const abort = new AbortController();
  /** Aborts first: nothing new is begun, what is under way may still end well. */
  const stopping = new AbortController();
  let loop: Promise<void> = Promise.resolve();
  let messages: ConsumerMessages | undefined;
  const inHand = new Map<string, InHand>();
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

  /** Hands an event over until that succeeds; gives it back when the subscription stops before. */
  const deliver = async (held: InHand): Promise<void> => {
    const { message } = held;
    const event = read(message);
    if (!event) return;
    for (let attempt = message.info.deliveryCount; !stopping.signal.aborted; attempt += 1) {
      const last = attempt >= maxDeliver;
      const signal = AbortSignal.any([abort.signal, AbortSignal.timeout(ackWaitMs)]);
      try {
        await subscription.handle(event, { attempt, last, signal });
        held.message.ack();
        return;
      } catch (error) {
        if (last)
          log.error({ consumer, subject: message.subject, err: error }, 'the event cannot be put aside');
        await waited(backoffAfter(attempt, backoffMs), stopping.signal);
      }
    }
    held.message.nak();
  };

  const take = (message: JsMsg): void => {
    // The time as well: another stream, after a store was lost, counts from 1 again.
    const place = `${message.seq} ${message.info.timestampNanos}`;
    const known = inHand.get(place);
    if (known) {
      // The server did not hear in time that we have it.
      known.message = message;
      message.working();
      return;
    }
    const held: InHand = { message, work: Promise.resolve() };
    const before = chains.get(message.subject) ?? Promise.resolve();
    const work = before.then(() => deliver(held));
    held.work = work;
    chains.set(message.subject, work);
    inHand.set(place, held);
    void work.finally(() => {
      inHand.delete(place);
      if (chains.get(message.subject) === work) chains.delete(message.subject);
    });
  };

  const keepAlive = (): void => {
    for (const { message } of inHand.values()) message.working();
  };

  const ensureConsumer = async () => {
    const jsm = await ready();
    const wanted = {
      ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(serverWaitMs),
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
      await waited(retryMs, abort.signal);
    }
  };

  let alive: NodeJS.Timeout | undefined;
  return {
    id: `consumer-${consumer}`,
    run: async () => {
      alive = setInterval(keepAlive, serverWaitMs / 3);
      loop = forever();
    },
    stop: async () => {
      messages?.stop();
      stopping.abort();
      // What is being handled finishes; its acknowledgement must still find the connection.
      await Promise.allSettled([...inHand.values()].map(({ work }) => work));
      clearInterval(alive);
      abort.abort();
      await loop;
    },
  };
};
