import { z } from 'zod';
import { type DomainEvent, type DomainEventType, domainEvents } from './domain-events.ts';

/** CloudEvents 1.0 JSON, structured mode; our extra attributes in lower case as the specification wants. */
const attributes = {
  specversion: z.literal('1.0'),
  id: z.string().min(1).max(200),
  type: z.string(),
  source: z.string(),
  time: z.iso.datetime(),
  subject: z.string().min(1).max(200),
  datacontenttype: z.literal('application/json'),
  data: z.unknown(),
  correlationid: z.string(),
  causationid: z.string().optional(),
  traceparent: z.string().optional(),
  dataschemaversion: z.int().positive(),
};
const envelope = z.object(attributes);

/** A domain event as it travels. */
export type CloudEvent = z.infer<typeof envelope>;

/** An event as JSON of the wire. */
export const toCloudEvent = (event: DomainEvent): CloudEvent => ({
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

/** Reads the envelope and throws when it is none. The data is as it came: `upcastDomainEvent` checks it. */
export const fromCloudEvent = (json: unknown): DomainEvent => {
  const wire = envelope.parse(json);
  return {
    id: wire.id,
    type: wire.type as DomainEventType,
    source: wire.source,
    time: Date.parse(wire.time),
    subject: wire.subject,
    data: wire.data as DomainEvent['data'],
    correlationId: wire.correlationid,
    ...(wire.causationid === undefined ? {} : { causationId: wire.causationid }),
    ...(wire.traceparent === undefined ? {} : { traceparent: wire.traceparent }),
    schemaVersion: wire.dataschemaversion,
  };
};

/** The JSON Schema (2020-12) of one type as it travels, for consumers in other languages. */
export const domainEventJsonSchema = (type: DomainEventType): Record<string, unknown> => {
  const { source, subject, version, data } = domainEvents[type];
  const { $schema, ...schema } = z.toJSONSchema(
    z.object({
      ...attributes,
      type: z.literal(type),
      source: z.literal(source),
      subject: attributes.subject.describe(`${subject} id`),
      data,
      dataschemaversion: z.literal(version),
    }),
    // Consumers ignore attributes they do not know.
    { io: 'input' },
  );
  return {
    $schema,
    $id: `urn:skein:event:${type}:${version}`,
    title: `${type} version ${version}`,
    ...schema,
  };
};
