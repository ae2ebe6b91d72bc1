import { type DomainEvent, domainEvents } from '@skein/contracts';
import { outbox } from '@skein/events';
import type { Tx } from '@skein/postgres';
import { currentTraceparent } from '@skein/telemetry';
import type { Outbox } from '../app/ports.ts';

/** Facts as domain events in the outbox table, with the trace and the correlation of the call. */
export const postgresOutbox = (tx: Tx, newId: () => string): Outbox => ({
  append: (facts, atMs, { correlationId }) => {
    const traceparent = currentTraceparent();
    const events = facts.map(
      (fact): DomainEvent => ({
        ...fact,
        id: newId(),
        source: 'auth',
        time: atMs,
        subject: fact.data.userId,
        correlationId,
        ...(traceparent === undefined ? {} : { traceparent }),
        schemaVersion: domainEvents[fact.type].version,
      }),
    );
    return outbox.append(tx, events);
  },
});
