import { z } from 'zod';
import { upcastData, type Versioned } from './event-versions.ts';

/**
 * The catalogue of domain events: what leaves a service for the bus. An event carries ids and the fields
 * listed here, never text or profile data; consumers read what they may from the owner. A change of `data` that an
 * older consumer could misread is a new `version`, with an entry of `upcast` for events written before.
 */
export const domainEvents = {
  'user.registered': {
    source: 'auth',
    subject: 'user',
    version: 1,
    upcast: {},
    data: z.strictObject({ userId: z.string(), registeredAt: z.number() }),
  },
  'user.login': {
    source: 'auth',
    subject: 'user',
    version: 1,
    upcast: {},
    data: z.strictObject({
      userId: z.string(),
      sessionId: z.string(),
      deviceId: z.string().optional(),
      platform: z.string(),
      at: z.number(),
      unusual: z.boolean(),
    }),
  },
  'identity.linked': {
    source: 'user',
    subject: 'user',
    version: 1,
    upcast: {},
    data: z.strictObject({ userId: z.string(), platform: z.string(), at: z.number() }),
  },
  'identity.unlinked': {
    source: 'user',
    subject: 'user',
    version: 1,
    upcast: {},
    data: z.strictObject({ userId: z.string(), platform: z.string(), at: z.number() }),
  },
  'member.invited': {
    source: 'session-sync',
    subject: 'space',
    version: 1,
    upcast: {},
    data: z.strictObject({ space: z.string(), offset: z.number(), invitationId: z.string() }),
  },
  'message.created': {
    source: 'session-sync',
    subject: 'space',
    version: 1,
    upcast: {},
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
    version: 1,
    upcast: {},
    data: z.strictObject({
      space: z.string(),
      offset: z.number(),
      messageId: z.string(),
      conversationId: z.string(),
      turnId: z.string(),
    }),
  },
} as const satisfies Record<string, CatalogueEntry>;

interface CatalogueEntry extends Versioned {
  readonly source: string;
  readonly subject: 'user' | 'space';
  readonly data: z.ZodType;
}

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
  /** The version of `data`. Publishers write the catalogue's; consumers see it after `upcastDomainEvent`. */
  readonly schemaVersion: number;
}

const entryOf = (type: string): CatalogueEntry => {
  const entry = Object.hasOwn(domainEvents, type) ? domainEvents[type as DomainEventType] : undefined;
  if (!entry) throw new TypeError(`domain event type ${type} is not in the catalogue`);
  return entry;
};

/**
 * Throws when an event is not what the catalogue says today (source, version, data), or has fields that may not
 * leave. Publishers check before an event leaves, consumers after `upcastDomainEvent`.
 */
export const checkDomainEvent = (event: DomainEvent): DomainEvent => {
  const { source, version, data } = entryOf(String(event.type));
  if (event.source !== source)
    throw new TypeError(`${event.type} is published by ${source}, not by ${event.source}`);
  if (event.schemaVersion !== version)
    throw new TypeError(`${event.type} has version ${version}, not ${event.schemaVersion}`);
  data.parse(event.data);
  return event;
};

/**
 * An event of any release as this one knows it, checked. A version that is not known yet is `unavailable`: a newer
 * release published it, and a newer consumer will read it.
 */
export const upcastDomainEvent = (event: DomainEvent): DomainEvent => {
  const entry = entryOf(String(event.type));
  const data = upcastData(event.type, entry, event.data, event.schemaVersion) as DomainEvent['data'];
  return checkDomainEvent({ ...event, data, schemaVersion: entry.version });
};

/** The bus subject of an event: `skein.events.<type>.<user or space id>`. */
export const subjectOf = (event: Pick<DomainEvent, 'type' | 'subject'>): string =>
  `skein.events.${event.type}.${event.subject}`;
