import type { Tx } from '@skein/postgres';

/** Whose events: those with the subject, or in a subject of many people those that name the person. */
export interface EventsOf {
  /** A person's id, or that of a space. */
  readonly subject: string;
  /** Only events whose data names this person. */
  readonly userId?: string | undefined;
}

/**
 * Erases what a service's event tables say about a person: outbox rows keep their ids and publish nothing, dead letters
 * are gone and have no effect when they are replayed. What the bus has is erased by `EventBus.erase`.
 */
export const eraseEvents = async (tx: Tx, { subject, userId }: EventsOf): Promise<void> => {
  const about = `(event::json ->> 'subject' = $1 and ($2::text is null or event::json #>> '{data,userId}' = $2))`;
  const parameters = [subject, userId ?? null];
  await tx.query(`update outbox set event = 'null' where event <> 'null' and ${about}`, parameters);
  await tx.query(
    `with dropped as (delete from dead_letter where ${about} returning consumer, event_id)
     insert into inbox (consumer, event_id) select consumer, event_id from dropped on conflict do nothing`,
    parameters,
  );
};
