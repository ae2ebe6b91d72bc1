import type { DomainEvent } from '@skein/contracts';
import type { Database, Queryable, Tx } from '@skein/postgres';

/** Remembers which events a consumer has handled, in the transaction of the effect. */
export interface Inbox {
  /**
   * Runs `work` and notes the event in one transaction: the effect happens once however often the event comes.
   * `work` has no effect but through `tx`.
   */
  once(event: DomainEvent, work: (tx: Tx) => Promise<void>): Promise<'done' | 'duplicate'>;
  /** Forgets at most 1,000 events handled longer ago than this; returns how many. */
  prune(olderThanMs: number): Promise<number>;
}

/** Rows that one prune removes at most. */
export const inboxPruneBatch = 1_000;

/** Notes an event as handled; false when it was. The note stands if and only if the transaction commits. */
export const noteHandled = async (tx: Tx, consumer: string, eventId: string): Promise<boolean> => {
  const fresh = await tx.query(
    {
      name: 'inbox-once',
      text: 'insert into inbox (consumer, event_id) values ($1, $2) on conflict do nothing returning 1',
    },
    [consumer, eventId],
  );
  return fresh.length > 0;
};

/** The inbox of one consumer (see `eventTablesSql`). */
export const inbox = (database: Database, consumer: string): Inbox => ({
  once: (event, work) =>
    database.transaction(async (tx) => {
      if (!(await noteHandled(tx, consumer, event.id))) return 'duplicate';
      await work(tx);
      return 'done';
    }),
  prune: async (olderThanMs) => {
    const rows = await database.query(
      `delete from inbox where (consumer, event_id) in (
         select consumer, event_id from inbox
         where consumer = $1 and handled_at < now() - make_interval(secs => $2 / 1000.0) limit $3) returning 1`,
      [consumer, olderThanMs, inboxPruneBatch],
    );
    return rows.length;
  },
});

/** Longest error that is kept. */
const maxErrorLength = 2_000;

/** An error as it is kept. */
export const errorText = (error: unknown): string => String(error).slice(0, maxErrorLength);

/** Puts an event aside; one that is put aside again keeps one row. */
export const bury = (
  db: Queryable,
  consumer: string,
  event: DomainEvent,
  { error, attempts }: { readonly error: unknown; readonly attempts: number },
): Promise<unknown> =>
  db.query(
    `insert into dead_letter (consumer, event_id, event, error, attempts) values ($1, $2, $3, $4, $5)
     on conflict (consumer, event_id) do update set error = excluded.error, attempts = excluded.attempts, died_at = now()`,
    [consumer, event.id, JSON.stringify(event), errorText(error), attempts],
  );
