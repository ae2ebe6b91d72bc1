import type { Queryable } from '@skein/postgres';
import { readModelTables } from '../src/adapters/read-model-tables.ts';

/** All rows of the read models, as text, by table. */
export const dump = async (database: Queryable): Promise<Record<string, string[]>> => {
  const rows: Record<string, string[]> = {};
  for (const { name, key } of Object.values(readModelTables))
    rows[name] = (
      await database.query<{ row: string }>(`select t::text as row from ${name} t order by ${key.join(', ')}`)
    ).map(({ row }) => row);
  return rows;
};

/** What the tables of session-sync are besides their rows. */
export const structure = async (database: Queryable) => ({
  indexes: await database.query(
    `select tablename, indexname, indexdef from pg_indexes where schemaname = 'session_sync' order by 1, 2`,
  ),
  constraints: await database.query(
    `select conrelid::regclass::text as table, conname, pg_get_constraintdef(oid) as def from pg_constraint
     where connamespace = 'session_sync'::regnamespace order by 1, 2`,
  ),
  triggers: await database.query(
    `select tgrelid::regclass::text as table, tgname, pg_get_triggerdef(oid) as def from pg_trigger
     where not tgisinternal order by 1, 2`,
  ),
  columns: await database.query(
    `select table_name, column_name, data_type, is_nullable, column_default, collation_name, ordinal_position
     from information_schema.columns where table_schema = 'session_sync' order by 1, 2`,
  ),
});
