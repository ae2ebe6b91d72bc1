import type { DomainEvent, DomainEventType } from '@skein/contracts';
import type { Service } from '@skein/service-kit';
import type { EventsOf } from './erase.ts';

/** What a handler knows of one delivery. */
export interface Delivery {
  /** From 1, counted by the process that has the event: a restart is no attempt. */
  readonly attempt: number;
  /** True when it is time to put the event aside instead of asking for another delivery. */
  readonly last: boolean;
  /** Aborts when the delivery's time is up or the subscription stops. */
  readonly signal: AbortSignal;
}

/** A durable subscription: replicas with the same `consumer` share the work. */
export interface Subscription {
  /** Its name for ever, such as `agent-turns`; progress is kept under it. */
  readonly consumer: string;
  readonly types: readonly DomainEventType[];
  /** How long one delivery may take before it counts as failed. Default 30 s. */
  readonly ackWaitMs?: number;
  /**
   * Failed deliveries after which the handler is told that this is the last one, so that it puts the event aside.
   * Default 5. A handler that throws even then is asked again: the bus itself never gives an event up.
   */
  readonly maxDeliver?: number;
  /** Waits before the second, third … delivery; the last one repeats. Default 1 s, 5 s, 30 s. */
  readonly backoffMs?: readonly number[];
  /** Returning is the acknowledgement; throwing asks for another delivery. */
  handle(event: DomainEvent, delivery: Delivery): Promise<void>;
}

/**
 * The durable bus. Delivery is at least once; of one subject a replica is handed one event at a time, in order, also
 * when deliveries fail and whatever their types. Two replicas of a consumer may have neighbours at the same time, and a
 * replica that dies, or gives back what it cannot handle, may leave a later one done before an earlier one. Effects are
 * made once by an inbox. The bus is a pipe that can be refilled: the truth is the publisher's log.
 */
export interface EventBus extends Service {
  /** Resolves when all of them are stored. The same event id within the bus's memory is stored once. */
  publish(events: readonly DomainEvent[], options?: PublishOptions): Promise<Published>;
  /** The subscription as a part. A new consumer starts with the oldest event the bus still keeps: nothing is missed
   * because a publisher was quicker. */
  subscribe(subscription: Subscription): Service;
  /** What a relay watches to know that the bus has forgotten. */
  store(): Promise<BusStore>;
  /** The newest stored event of these types. */
  newest(types: readonly DomainEventType[]): Promise<StoredEvent | undefined>;
  /** Removes stored events for good, also those nobody has handled yet; `signal` stops it between two of them. */
  erase(of: EventsOf, signal?: AbortSignal): Promise<void>;
  /**
   * Every consumer of these types has handled everything up to this mark. Undefined when there is no consumer of
   * them yet, or when the bus shares the fate of the publisher's log and never loses its store alone.
   */
  handled(types: readonly DomainEventType[]): Promise<number | undefined>;
}

/** How events are published. */
export interface PublishOptions {
  /**
   * Events older than this (epoch milliseconds) are stored although the bus may remember them: they are delivered
   * again. Used by a replay; the same moment twice still stores them once.
   */
  readonly againBeforeMs?: number | undefined;
}

/** What publishing tells. */
export interface Published {
  /** A number that grows with everything stored: the place of the newest of these events. */
  readonly mark: number;
}

/** The identity of what the bus has stored. */
export interface BusStore {
  /** Changes when everything was lost. */
  readonly id: string;
  /** Changes when the server began anew, which may have lost what was stored last. Empty where it cannot. */
  readonly boot: string;
}

/** An event in the store. */
export interface StoredEvent {
  readonly event: DomainEvent;
  readonly mark: number;
}

/** Ephemeral fan-out between the replicas of a service: at most once, unordered across publishers, never stored. */
export interface LiveBus extends Service {
  /** False when there are no other replicas to reach (`EVENTS_URL=postgres:`): publishing then does nothing. */
  readonly peers: boolean;
  /** Never blocks and never throws for a bus that is away: what cannot be sent now is lost. */
  publish(subject: string, payload: Uint8Array): void;
  /** Gets what other replicas publish. Returns the way to unsubscribe. */
  subscribe(subject: string, handle: (payload: Uint8Array) => void): () => void;
}

/** Defaults of a subscription, in one place for every adapter. */
export const subscriptionDefaults = {
  ackWaitMs: 30_000,
  maxDeliver: 5,
  backoffMs: [1_000, 5_000, 30_000] as readonly number[],
  /** Events kept by the bus: what a new consumer or a long outage can count on. */
  maxAgeMs: 7 * 24 * 3_600_000,
} as const;

/** The key under which the bus remembers an event: its id, unless it is to be delivered again. */
export const rememberedAs = (
  { id, time }: DomainEvent,
  { againBeforeMs = 0 }: PublishOptions = {},
): string => (time < againBeforeMs ? `${id}/${againBeforeMs}` : id);

/** The wait before the delivery after `attempt`. */
export const backoffAfter = (attempt: number, backoffMs: readonly number[]): number =>
  backoffMs[Math.min(attempt, backoffMs.length) - 1] ?? 0;

/** The live bus of a service without replicas. */
export const noPeers = (): LiveBus => ({
  id: 'live-bus',
  peers: false,
  run: async () => {},
  stop: async () => {},
  publish: () => {},
  subscribe: () => () => {},
});
