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
/** What was given back and is not here again so long after its time went to another replica. */
const comesBackMs = 2_000;
/** One may be lost on the way; after two in a row nothing is to be expected of this pull. */
const maxHeartbeatsMissed = 2;

const ended = new Set(['consumer_not_found', 'consumer_deleted', 'stream_not_found', 'no_responders']);

/** Waits, or until the signal aborts. */
const waited = (ms: number, signal: AbortSignal): Promise<void> =>
  pause(ms, undefined, { signal }).catch(() => {});

/** A message that was pulled and is neither acknowledged nor given back. */
interface InHand {
  readonly place: string;
  /** Of several deliveries of the same event, the newest. */
  message: JsMsg;
}

/** The events in hand about one user or space; handed over one by one. */
interface Lane {
  /** Not begun yet, in the order of the stream. */
  readonly waiting: InHand[];
  /** Places of those that were given back: earlier than whatever is new. */
  readonly missing: Set<string>;
  /** Called when none is missing any more. */
  complete: () => void;
  work: Promise<void>;
}

/** Whom or what the event is about: `skein.events.<type>.<subject>`, where only types contain dots. */
const aboutOf = ({ subject }: JsMsg): string => subject.slice(subject.lastIndexOf('.') + 1);

/**
 * A durable consumer as a part: pulls, hands over one event of a subject at a time, and is made again when the server
 * lost it. What waits in hand, for the one before it or for its next attempt, is kept alive at the server. One that failed
 * stays in hand for `maxDeliver` attempts: the next of its subject does not overtake. Then it is given back with all
 * that wait behind it, for a replica that may do better; those that come back come before what is new.
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
  const lanes = new Map<string, Lane>();
  const givenBackMs = backoffAfter(1, backoffMs);

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

  /** Hands an event over until that succeeds; false after its last attempt, and when the subscription stops before. */
  const deliver = async (held: InHand): Promise<boolean> => {
    const { message } = held;
    const event = read(message);
    if (!event) return true;
    // Counted here: for the server, every time it was given back is a delivery, also those of a stop.
    for (let attempt = 1; attempt <= maxDeliver && !stopping.signal.aborted; attempt += 1) {
      const last = attempt === maxDeliver;
      const signal = AbortSignal.any([abort.signal, AbortSignal.timeout(ackWaitMs)]);
      try {
        await subscription.handle(event, { attempt, last, signal });
        held.message.ack();
        return true;
      } catch (error) {
        if (last)
          log.error({ consumer, subject: message.subject, err: error }, 'the event cannot be put aside');
        else await waited(backoffAfter(attempt, backoffMs), stopping.signal);
      }
    }
    return false;
  };

  const giveBack = ({ place, message }: InHand): void => {
    inHand.delete(place);
    message.nak(stopping.signal.aborted ? undefined : givenBackMs);
  };

  /** Until all that were given back are here again, or are not to be expected. */
  const complete = async (lane: Lane): Promise<void> => {
    const back = new AbortController();
    lane.complete = () => back.abort();
    await waited(givenBackMs + comesBackMs, AbortSignal.any([stopping.signal, back.signal]));
    lane.missing.clear();
  };

  const workOff = async (about: string, lane: Lane): Promise<void> => {
    const { waiting, missing } = lane;
    for (let held = waiting.shift(); held; held = waiting.shift()) {
      if (await deliver(held)) {
        inHand.delete(held.place);
        continue;
      }
      for (const one of [held, ...waiting.splice(0)]) {
        giveBack(one);
        missing.add(one.place);
      }
      await complete(lane);
    }
    lanes.delete(about);
  };

  const take = (message: JsMsg): void => {
    // The time as well: another stream, after a store was lost, counts from 1 again.
    const place = `${message.seq} ${message.info.timestampNanos}`;
    const again = inHand.get(place);
    if (again) {
      // The server did not hear in time that we have it.
      again.message = message;
      message.working();
      return;
    }
    const held: InHand = { place, message };
    inHand.set(place, held);
    const about = aboutOf(message);
    const known = lanes.get(about);
    if (known) {
      const { waiting, missing } = known;
      const before = waiting.findLastIndex((one) => one.message.seq < message.seq);
      waiting.splice(before + 1, 0, held);
      if (missing.delete(place) && missing.size === 0) known.complete();
      return;
    }
    const lane: Lane = {
      ...{ waiting: [held], missing: new Set<string>() },
      ...{ complete: () => {}, work: Promise.resolve() },
    };
    lanes.set(about, lane);
    lane.work = workOff(about, lane);
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
      await Promise.allSettled([...lanes.values()].map(({ work }) => work));
      clearInterval(alive);
      abort.abort();
      await loop;
    },
  };
};
