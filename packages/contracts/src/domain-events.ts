import { z } from 'zod';

/**
 * The catalogue of domain events: what leaves a service for the bus. An event carries ids and the fields
 * listed here, never text or profile data; consumers read what they may from the owner.
 */
export const domainEvents = {
  'user.registered': {
    source: 'auth',
    subject: 'user',
    data: z.strictObject({ userId: z.string(), registeredAt: z.number() }),
  },
  'user.login': {
    source: 'auth',
    subject: 'user',
    data: z.strictObject({
      userId: z.string(),
      sessionId: z.string(),
      deviceId: z.string().optional(),
      platform: z.string(),
      at: z.number(),
      unusual: z.boolean(),
    }),
  },
  'message.created': {
    source: 'session-sync',
    subject: 'space',
    data: z.strictObject({
      space: z.string(),
      offset: z.number(),
      messageId: z.string(),
      conversationId: z.string(),
      userId: z.string(),
      turnId: z.string().optional(),
      persona: z.string().optional(),
    }),
  },
  'message.completed': {
    source: 'session-sync',
    subject: 'space',
    data: z.strictObject({
      space: z.string(),
      offset: z.number(),
      messageId: z.string(),
      conversationId: z.string(),
      turnId: z.string(),
    }),
  },
} as const satisfies Record<string, { source: string; subject: 'user' | 'space'; data: z.ZodType }>;

/** A type of the catalogue. */
export type DomainEventType = keyof typeof domainEvents;

/** The data of one type. */
export type DomainEventData<T extends DomainEventType> = z.infer<(typeof domainEvents)[T]['data']>;

/** A domain event as it travels: the CloudEvents 1.0 attributes plus correlation and trace. */
export interface DomainEvent<T extends DomainEventType = DomainEventType> {
  /** Unique for ever; the key of de-duplication. */
  readonly id: string;
  readonly type: T;
  /** The service that published it. */
  readonly source: string;
  /** Milliseconds since the epoch, of the commit's own clock. */
  readonly time: number;
  /** User or space id: events of one subject are delivered in order. */
  readonly subject: string;
  readonly data: DomainEventData<T>;
  readonly correlationId: string;
  readonly causationId?: string;
  /** W3C trace context of the write that caused it. */
  readonly traceparent?: string;
  readonly schemaVersion: 1;
}

/** Throws when the data of an event is not what the catalogue says, or has fields that may not leave. */
export const checkDomainEvent = (event: DomainEvent): DomainEvent => {
  const entry = Object.hasOwn(domainEvents, event.type) ? domainEvents[event.type] : undefined;
  if (!entry) throw new TypeError(`domain event type ${String(event.type)} is not in the catalogue`);
  entry.data.parse(event.data);
  return event;
};

/** The bus subject of an event: `skein.events.<type>.<user or space id>`. */
export const subjectOf = (event: Pick<DomainEvent, 'type' | 'subject'>): string =>
  `skein.events.${event.type}.${event.subject}`;
