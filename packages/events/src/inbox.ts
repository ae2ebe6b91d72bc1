import type { DomainEvent } from '@skein/contracts';
import type { Database, Tx } from '@skein/postgres';

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

/** The inbox of one consumer (see `eventTablesSql`). */
export const inbox = (database: Database, consumer: string): Inbox => ({
  once: (event, work) =>
    database.transaction(async (tx) => {
      const fresh = await tx.query(
        {
          name: 'inbox-once',
          text: 'insert into inbox (consumer, event_id) values ($1, $2) on conflict do nothing returning 1',
        },
        [consumer, event.id],
      );
      if (fresh.length === 0) return 'duplicate';
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
