import {
  type DomainEventType,
  domainEventJsonSchema,
  domainEvents,
} from '../../packages/contracts/src/index.ts';
import { code, page, table } from './markdown.ts';

/** As much of a Zod schema as is needed to name its type. */
interface Field {
  readonly def: { readonly type: string; readonly innerType?: Field };
}

const fieldText = ([name, { def }]: [string, Field]): string =>
  def.type === 'optional' ? `${name}?: ${def.innerType?.def.type}` : `${name}: ${def.type}`;

const schemaFile = (type: string, version: number): string => `${type}.v${version}.json`;

/** The JSON Schema of every type: path in the work tree → what makes it. */
export const eventSchemaPages: Readonly<Record<string, () => string>> = Object.fromEntries(
  (Object.keys(domainEvents) as DomainEventType[]).map((type) => [
    `docs/reference/events/${schemaFile(type, domainEvents[type].version)}`,
    () => `${JSON.stringify(domainEventJsonSchema(type), null, 2)}\n`,
  ]),
);

/** The catalogue of domain events. */
export const eventsPage = (): string =>
  page(
    'Domain events',
    'packages/contracts/src/domain-events.ts',
    `What services tell each other after the fact, over NATS JetStream or, without a broker, over tables of the database.
They are not the events of a space's log, which devices see ([PROTOCOL.md](../PROTOCOL.md#events)): they carry ids and the
fields below, never text or profile data. A consumer reads what it may from the owner.

Delivery is at least once, in order for one subject; consumers keep an inbox, so that each has its effect once.`,
    table(
      ['type', 'version', 'published by', 'subject', 'data'],
      Object.entries(domainEvents).map(([type, { source, subject, version, data }]) => [
        `[${code(type)}](events/${schemaFile(type, version)})`,
        String(version),
        source,
        `${subject} id`,
        code(`{${Object.entries(data.shape).map(fieldText).join(', ')}}`),
      ]),
    ),
    `Each type links to its JSON Schema (2020-12). Publishers check against it before an event leaves, consumers before they
handle one. A change that an older consumer could misread is a new version: consumers bring older events up to date as
they read them, and one that meets a version newer than it knows leaves the event for its successor.`,
    '## How they travel',
    `As CloudEvents 1.0 in JSON, in the JetStream stream \`SKEIN_EVENTS\`, on the subject
\`skein.events.<type>.<user or space id>\`. \`Nats-Msg-Id\` is the event's id, with the moment of the replay after a slash
when it is replayed; \`traceparent\`, \`correlation-id\` and \`causation-id\` are headers. Events stay for 7 days; after that, or when the broker lost its store, the owner's database
is what there is. An event that fails again and again becomes a row of \`dead_letter\` in the consumer's own schema;
operators see, retry and drop those ([look after events](../how-to/look-after-events.md)).`,
  );
