import { eraseEvents } from '@skein/events';
import type { Database, Tx } from '@skein/postgres';
import type { Erasures } from '../app/ports.ts';

/** What is kept of a person: every table about people has its line here. */
const ofPerson = [
  'delete from profiles where user_id = $1',
  'delete from last_logins where user_id = $1',
  'delete from notices where user_id = $1',
  'delete from mail where user_id = $1',
  'delete from identity where user_id = $1',
  'delete from link_code where user_id = $1',
  'delete from idempotency_keys where scope = $1',
];

/** What the adapter needs of the sagas of this service. */
export interface ErasuresOptions {
  readonly database: Database;
  /** Starts the saga if the transaction commits. */
  readonly start: (tx: Tx, userId: string, correlationId: string) => Promise<{ readonly id: string }>;
  /** Told after each commit. */
  readonly started: () => void;
  readonly forgetSagas: (userId: string, except: string) => Promise<void>;
}

/** Erasing from the schema `user`, and the order to do it everywhere. */
export const postgresErasures = ({ database, start, started, forgetSagas }: ErasuresOptions): Erasures => ({
  begin: async ({ userId, by, reason }, correlationId) => {
    const sagaId = await database.transaction(async (tx) => {
      // The row is locked, new or not: of two who ask at once the second sees what the first has begun.
      const [noted] = await tx.query<{ sagaId: string | null }>(
        `insert into erased_person as p (user_id, asked_by, reason) values ($1, $2, $3)
         on conflict (user_id) do update set reason = p.reason returning saga_id as "sagaId"`,
        [userId, by, reason],
      );
      const [good] = await tx.query<{ id: string }>(
        `select id from saga where id = $1 and state not in ('compensated', 'killed')`,
        [noted?.sagaId ?? null],
      );
      if (good) return good.id;
      const { id } = await start(tx, userId, correlationId);
      await tx.query(
        'update erased_person set saga_id = $2, asked_at = now(), asked_by = $3, reason = $4 where user_id = $1',
        [userId, id, by, reason],
      );
      return id;
    });
    started();
    return { sagaId };
  },
  isAsked: async (userId) =>
    (await database.query('select 1 from erased_person where user_id = $1', [userId])).length > 0,
  keepNothing: async (userId) => {
    await database.query(
      'update erased_person set closed_at = now() where user_id = $1 and closed_at is null',
      [userId],
    );
  },
  erasePerson: async (userId, sagaId) => {
    await forgetSagas(userId, sagaId);
    await database.transaction(async (tx) => {
      for (const statement of ofPerson) await tx.query(statement, [userId]);
      await eraseEvents(tx, { subject: userId });
    });
  },
});
