import { AppError } from '@skein/contracts';
import { sqlState, type Tx } from '@skein/postgres';
import type { Order } from './dead-letters.ts';
import { emptyPostgresBus } from './postgres-bus.ts';

/** One service's log after re-anchoring. */
export interface Reanchored {
  readonly schema: string;
  readonly era: number;
}

const objectInUse = '55006';

/**
 * Says to every service's schema of a database that it was restored: a new era of transaction ids begins, relays
 * publish again what a bus would keep, spaces get new epochs. All or nothing: `tx` is one transaction of a user who
 * owns the schemas. `conflict` while a service still runs, or ran less than 10 s ago; `not_found` where there is
 * nothing of ours.
 */
export const reanchorDatabase = async (tx: Tx, { actor, reason }: Order): Promise<readonly Reanchored[]> => {
  const schemas = await tx.query<{ schema: string; able: boolean }>(
    `select n.nspname as schema, exists (
       select 1 from pg_proc p where p.pronamespace = n.oid and p.proname = 'reanchor') as able
     from pg_namespace n join pg_class c on c.relnamespace = n.oid and c.relname = 'relay' and c.relkind = 'r'
     order by 1`,
  );
  if (schemas.length === 0)
    throw new AppError('not_found', 'There is no schema of Skein in this database: check DATABASE_URL');
  const old = schemas.filter(({ able }) => !able).map(({ schema }) => schema);
  if (old.length > 0)
    throw new AppError(
      'conflict',
      `The schema ${old.join(', ')} is from before this program: start its service once, which migrates it, stop it and try again`,
    );
  const done: Reanchored[] = [];
  for (const { schema } of schemas) {
    try {
      const [row] = await tx.query<{ era: number }>(
        // Quoted: a schema may be called what SQL reserves, such as "user".
        `select "${schema.replaceAll('"', '""')}".reanchor($1, $2) as era`,
        [actor, reason],
      );
      done.push({ schema, era: row?.era ?? 0 });
    } catch (error) {
      if (sqlState(error) !== objectInUse) throw error;
      throw new AppError(
        'conflict',
        `A relay of ${schema} is running, or was less than 10 s ago: stop all services first`,
        { cause: error },
      );
    }
  }
  await emptyPostgresBus(tx);
  return done;
};
