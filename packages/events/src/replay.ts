import { AppError } from '@skein/contracts';
import type { Database } from '@skein/postgres';
import { subscriptionDefaults } from './bus.ts';
import { noteOrder, type Order } from './dead-letters.ts';

/**
 * Tells a relay to publish again what was written from a time on (epoch milliseconds); it begins within 3 s. Consumers
 * have the effects once, because their inboxes know what they have handled: so a time beyond their memory is refused
 * (`invalid_request`), and so is one in the future. `not_found` for a relay that never ran.
 */
export const replay = async (
  database: Database,
  { relay, fromMs, nowMs }: { readonly relay: string; readonly fromMs: number; readonly nowMs: number },
  order: Order,
): Promise<void> => {
  const horizonMs = nowMs - subscriptionDefaults.maxAgeMs;
  if (fromMs < horizonMs)
    throw new AppError(
      'invalid_request',
      `Consumers remember what they handled for 7 days: replay from ${new Date(horizonMs).toISOString()} or later`,
    );
  if (fromMs > nowMs)
    throw new AppError('invalid_request', 'This time has not come yet: replay from an earlier one');
  await database.transaction(async (tx) => {
    // The fence ends what the holder is doing: it takes the row again and sees where to begin.
    const rows = await tx.query(
      `update relay set replay_from = least(replay_from, to_timestamp($2 / 1000.0)), replayed_at = now(),
         fence = fence + 1
       where name = $1 returning 1`,
      [relay, fromMs],
    );
    if (rows.length === 0) throw new AppError('not_found', `There is no relay ${relay}`);
    await noteOrder(tx, 'replay', relay, `from ${new Date(fromMs).toISOString()}`, order);
  });
};
