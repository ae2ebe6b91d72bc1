import { AppError, type DomainEvent } from '@skein/contracts';
import type { Database, Queryable } from '@skein/postgres';
import type { Consumer } from './consume.ts';
import { errorText, noteHandled } from './inbox.ts';

/** An event that a consumer has given up. */
export interface DeadLetter {
  readonly consumer: string;
  readonly eventId: string;
  readonly type: string;
  readonly subject: string;
  /** What its last attempt said. */
  readonly error: string;
  readonly attempts: number;
  /** Microseconds since the epoch: pages must not lose what died in the same millisecond. */
  readonly diedAtUs: number;
}

/** Who asks for something that is kept in the journal, and why. */
export interface Order {
  readonly actor: string;
  readonly reason: string;
}

/** What became of a retry. */
export type Retried =
  | { readonly outcome: 'done' | 'duplicate' }
  /** It is a dead letter still. */
  | { readonly outcome: 'failed'; readonly error: string };

/** The dead letters of one service's schema. */
export interface DeadLetters {
  /** Oldest first. `after` is the last one of the page before. */
  list(page: {
    readonly limit: number;
    readonly after?: DeadLetterPosition | undefined;
  }): Promise<readonly DeadLetter[]>;
  /** Handles one again, now, with its effect once. `not_found` when there is none. */
  retry(consumer: string, eventId: string, order: Order, signal: AbortSignal): Promise<Retried>;
  /** Forgets one; its event will have no effect, however often it is replayed. `not_found` when there is none. */
  drop(consumer: string, eventId: string, order: Order): Promise<void>;
}

/** Where a page of dead letters ends. */
export type DeadLetterPosition = Pick<DeadLetter, 'consumer' | 'eventId' | 'diedAtUs'>;

/** Writes into the journal of what operators did. */
export const noteOrder = (
  db: Queryable,
  verb: 'retry' | 'drop' | 'replay',
  target: string,
  outcome: string,
  { actor, reason }: Order,
): Promise<unknown> =>
  db.query('insert into event_admin (verb, target, outcome, actor, reason) values ($1, $2, $3, $4, $5)', [
    verb,
    target,
    outcome,
    actor,
    reason,
  ]);

const absent = (consumer: string, eventId: string) =>
  new AppError('not_found', `${consumer} has no dead letter ${eventId}: it was retried or dropped already`);

/** The table `dead_letter` of a service; `consumers` are those whose handlers live in this process. */
export const deadLetters = (database: Database, consumers: readonly Consumer[]): DeadLetters => ({
  list: async ({ limit, after }) => {
    const rows = await database.query<{
      consumer: string;
      eventId: string;
      event: string;
      error: string;
      attempts: number;
      diedAtUs: number;
    }>(
      `select consumer, event_id as "eventId", event, error, attempts,
         (extract(epoch from died_at) * 1000000)::bigint as "diedAtUs"
       from dead_letter
       where $1::bigint is null
         or (died_at, consumer, event_id) > (timestamptz 'epoch' + $1 * interval '1 microsecond', $2, $3)
       order by died_at, consumer, event_id limit $4`,
      [after?.diedAtUs ?? null, after?.consumer ?? null, after?.eventId ?? null, limit],
    );
    return rows.map(({ event, ...row }) => {
      const { type, subject } = JSON.parse(event) as DomainEvent;
      return { ...row, type, subject };
    });
  },
  retry: async (consumer, eventId, order, signal) => {
    const target = `${consumer} ${eventId}`;
    const owner = consumers.find((one) => one.consumer === consumer);
    if (!owner) throw absent(consumer, eventId);
    try {
      const { event, became } = await database.transaction(
        async (tx) => {
          const [row] = await tx.query<{ event: string }>(
            'delete from dead_letter where consumer = $1 and event_id = $2 returning event',
            [consumer, eventId],
          );
          if (!row) throw absent(consumer, eventId);
          const event = JSON.parse(row.event) as DomainEvent;
          const became = await owner.redo(event, tx, signal);
          await noteOrder(tx, 'retry', target, became, order);
          return { event, became };
        },
        { signal },
      );
      if (became === 'done') owner.committed?.(event);
      return { outcome: became };
    } catch (error) {
      const found = await database.query(
        'update dead_letter set error = $3, attempts = attempts + 1 where consumer = $1 and event_id = $2 returning 1',
        [consumer, eventId, errorText(error)],
      );
      if (found.length === 0) throw error;
      await noteOrder(database, 'retry', target, 'failed', order);
      return { outcome: 'failed', error: errorText(error) };
    }
  },
  drop: (consumer, eventId, order) =>
    database.transaction(async (tx) => {
      const rows = await tx.query(
        'delete from dead_letter where consumer = $1 and event_id = $2 returning 1',
        [consumer, eventId],
      );
      if (rows.length === 0) throw absent(consumer, eventId);
      await noteHandled(tx, consumer, eventId);
      await noteOrder(tx, 'drop', `${consumer} ${eventId}`, 'dropped', order);
    }),
});
