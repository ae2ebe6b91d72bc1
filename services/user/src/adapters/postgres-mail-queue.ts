import type { DomainEvent } from '@skein/contracts';
import { bury } from '@skein/events';
import type { Database, Queryable } from '@skein/postgres';
import type { MailQueue } from '../app/ports.ts';

/** The name under which mails that were given up are dead letters. */
export const mailConsumer = 'user-mail';

/** Longer than an attempt may take; then it is another process's turn. */
const attemptMs = 120_000;

/** Puts the mail an event asks for into the queue; one that waits already stays as it is. */
export const queueMail = async (db: Queryable, event: DomainEvent, userId: string | null): Promise<void> => {
  await db.query('insert into mail (event_id, user_id, event) values ($1, $2, $3) on conflict do nothing', [
    event.id,
    userId,
    JSON.stringify(event),
  ]);
};

/** The queue in the table `mail`. */
export const postgresMailQueue = (database: Database): MailQueue => ({
  take: async (limit) => {
    const rows = await database.query<{ event: string; attempts: number }>(
      `update mail set attempts = attempts + 1, due_at = now() + make_interval(secs => $2 / 1000.0)
       where event_id in (
         select event_id from mail where due_at <= now() order by due_at limit $1 for update skip locked)
       returning event, attempts`,
      [limit, attemptMs],
    );
    return rows.map(({ event, attempts }) => ({
      event: JSON.parse(event) as DomainEvent,
      attempt: attempts,
    }));
  },
  done: async (eventId) => {
    await database.query('delete from mail where event_id = $1', [eventId]);
  },
  later: async (eventId, delayMs) => {
    await database.query(
      'update mail set due_at = now() + make_interval(secs => $2 / 1000.0) where event_id = $1',
      [eventId, delayMs],
    );
  },
  giveUp: ({ event, attempt }, why) =>
    database.transaction(async (tx) => {
      await tx.query('delete from mail where event_id = $1', [event.id]);
      await bury(tx, mailConsumer, event, { error: why, attempts: attempt });
    }),
});
