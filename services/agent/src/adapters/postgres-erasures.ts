import { eraseEvents } from '@skein/events';
import type { Database } from '@skein/postgres';
import type { Erasures } from '../app/ports.ts';

/** What is kept of a person: every table about people has its line here. */
const ofPerson = [
  'delete from turn where user_id = $1',
  'delete from project where user_id = $1',
  'delete from idempotency_keys where scope = $1',
];

/** Erasing from the agent's schema. */
export const postgresErasures = (
  database: Database,
  forgetSagas: (userId: string) => Promise<void>,
): Erasures => ({
  erasePerson: async (userId) => {
    // First and by itself: what is added from here on is refused, what was added before is seen below.
    await database.query('insert into erased_person (user_id) values ($1) on conflict do nothing', [userId]);
    await forgetSagas(userId);
    await database.transaction(async (tx) => {
      // Dead letters of turns: the spaces they name are many, the person is one.
      const spaces = await tx.query<{ subject: string }>(
        `select distinct event::json ->> 'subject' as subject from dead_letter
         where event::json #>> '{data,userId}' = $1`,
        [userId],
      );
      for (const { subject } of spaces) await eraseEvents(tx, { subject, userId });
      for (const statement of ofPerson) await tx.query(statement, [userId]);
    });
  },
  forgetTurns: async (ids) => {
    await database.query(
      `update turn set text = '', decided = null, persona = ''
       where id = any($1) and state not in ('queued', 'streaming')`,
      [ids],
    );
  },
});
