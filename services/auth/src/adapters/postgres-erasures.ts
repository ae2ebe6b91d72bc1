import { type EventBus, eraseEvents } from '@skein/events';
import type { Database } from '@skein/postgres';
import type { Erasures } from '../app/ports.ts';

/** What is kept of a person beside the account: every table about people has its line here, or goes with the account. */
const ofPerson = [
  'delete from tickets where user_id = $1',
  'delete from idempotency_keys where scope = $1',
  // Named by what is limited and the address.
  `delete from rate_limits using accounts a where a.id = $1 and right(key, length(a.email) + 1) = ':' || a.email`,
  'delete from accounts where id = $1',
];

/** Erasing from this schema. Revocations stay for a day: they hold ids, and refuse what the person is signed in with. */
export const postgresErasures = (
  database: Database,
  bus: Pick<EventBus, 'erase'>,
  forgetSagas: (userId: string) => Promise<void>,
): Erasures => ({
  erasePerson: async (userId) => {
    await forgetSagas(userId);
    await database.transaction(async (tx) => {
      for (const statement of ofPerson) await tx.query(statement, [userId]);
      await eraseEvents(tx, { subject: userId });
    });
    await bus.erase({ subject: userId });
  },
});
