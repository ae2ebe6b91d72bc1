import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '@skein/contracts';
import type { Order } from '@skein/events';
import { adminTransaction, isUniqueViolation, type Row, type Tx } from '@skein/postgres';
import type { Screen } from './screen.ts';

const askEveryMs = 1_000;
/** A service that runs looks for orders every two seconds. */
const silenceMs = 15_000;
const table = 'session_sync.read_model_rebuild';

interface Progress extends Row {
  readonly id: number;
  readonly phase: 'ordered' | 'copying' | 'following' | 'switched' | 'cancelled' | 'outpaced';
  readonly spaces: number;
  readonly events: number;
  /** Rows that were not as the log says, by table. */
  readonly differences: Readonly<Record<string, number>>;
}

const needSchema = async (tx: Tx): Promise<void> => {
  const [found] = await tx.query<{ there: boolean }>(`select to_regclass($1) is not null as there`, [table]);
  if (!found?.there)
    throw new AppError(
      'not_found',
      'There is no schema of session-sync that can be rebuilt in this database: check DATABASE_URL, and start session-sync once',
    );
};

const place = async (tx: Tx, { actor, reason }: Order): Promise<number> => {
  await needSchema(tx);
  try {
    const [row] = await tx.query<{ id: number }>(
      `insert into ${table} (actor, reason) values ($1, $2) returning id`,
      [actor, reason],
    );
    return row?.id ?? 0;
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    throw new AppError(
      'conflict',
      'A rebuild is under way already: wait for its end, which the log of session-sync tells, or cancel it with "skein db cancel-rebuild"',
      { cause: error },
    );
  }
};

const sentence = ({ phase, spaces, events }: Progress): string =>
  ({
    ordered: 'Ordered.',
    copying: `Building: ${spaces} spaces, ${events} events.`,
    following: `Catching up: ${spaces} spaces, ${events} events.`,
    switched: `Switched: ${spaces} spaces, ${events} events.`,
    cancelled: 'Cancelled.',
    outpaced: `Given up: ${spaces} spaces, ${events} events.`,
  })[phase];

/**
 * Has session-sync, which goes on serving, build its read models again out of the log, and shows how far it is until
 * they are in use. Ending this command ends the waiting only.
 */
export const rebuild = async (url: string, screen: Screen, order: Order): Promise<void> => {
  const id = await adminTransaction(url, (tx) => place(tx, order));
  let last = '';
  let changedAt = performance.now();
  for (;;) {
    const [row] = await adminTransaction(url, (tx) =>
      tx.query<Progress>(`select id, phase, spaces, events, differences from ${table} where id = $1`, [id]),
    );
    if (!row) throw new AppError('not_found', 'The order is gone: somebody has taken it out of the database');
    const { phase, spaces, events, differences } = row;
    const text = sentence(row);
    if (text !== last) {
      changedAt = performance.now();
      screen.row({ phase, spaces, events, differences }, text);
    } else if (performance.now() - changedAt > silenceMs) {
      changedAt = performance.now();
      screen.say('Nothing moves: is session-sync running? Waiting on.');
    }
    last = text;
    if (phase === 'cancelled')
      throw new AppError('conflict', 'The rebuild was cancelled: what is shown is as it was before');
    if (phase === 'outpaced')
      throw new AppError(
        'overloaded',
        'For an hour more was written than could be built, so the rebuild was ended and what is shown is as it was before: order it again when less is written',
      );
    if (phase === 'switched') {
      const healed = Object.entries(differences).map(([name, count]) => `${count} in ${name}`);
      screen.say(
        healed.length === 0
          ? 'Every row was as the log says.'
          : `Rows that were not as the log says: ${healed.join(', ')}. They are now.`,
      );
      return;
    }
    await delay(askEveryMs);
  }
};

/** Ends a rebuild before it is through: what is shown stays as it is, and the log is archived again. */
export const cancelRebuild = async (url: string, screen: Screen, { actor, reason }: Order): Promise<void> => {
  const cancelled = await adminTransaction(url, async (tx) => {
    await needSchema(tx);
    const [row] = await tx.query<{ done: boolean }>('select session_sync.cancel_rebuild($1, $2) as done', [
      actor,
      reason,
    ]);
    return row?.done;
  });
  if (!cancelled) throw new AppError('not_found', 'No rebuild is under way: there is nothing to cancel');
  screen.row({ phase: 'cancelled' }, 'Cancelled: what is shown is as it was before.');
};
