import type { Tx } from '@skein/postgres';
import { must } from '@skein/service-kit';
import { columnNames } from './columns.ts';

/** A table that says nothing but what the logs of spaces say. */
export interface ReadModelTable {
  readonly name: string;
  /** Columns by properties of its rows. */
  readonly columns: Readonly<Record<string, string>>;
  readonly key: readonly string[];
}

/** Tables that are built from the log, in the order in which a commit locks them. */
export const readModelTables = {
  documents: { name: 'document', columns: columnNames.document, key: ['space', 'collection', 'id'] },
  turnEnds: { name: 'turn_end', columns: columnNames.turnEnd, key: ['turn_id'] },
  messages: { name: 'message', columns: columnNames.message, key: ['id'] },
  conversations: { name: 'conversation', columns: columnNames.conversation, key: ['id'] },
  turns: { name: 'turn', columns: columnNames.turn, key: ['id'] },
  members: { name: 'member', columns: columnNames.member, key: ['space', 'user_id'] },
} as const satisfies Record<string, ReadModelTable>;

const tables: readonly ReadModelTable[] = Object.values(readModelTables);

interface Definition extends Record<string, unknown> {
  readonly name: string;
  readonly definition: string;
}

/**
 * The first statement of a transaction that reads these tables in one snapshot. Without it the snapshot could be older
 * than a switch of the tables and the tables younger, and rows be missing.
 */
export const holdTables = async (tx: Tx): Promise<void> => {
  await tx.query('lock table document, conversation in access share mode');
};

/**
 * Empty tables beside the old ones, alike in columns, keys and indexes, named with `_next`. They refer to nothing yet:
 * a space is not kept from going by rows that nobody reads.
 */
export const createNextTables = async (tx: Tx): Promise<void> => {
  for (const { name } of tables) {
    await tx.query(`drop table if exists ${name}_next`);
    await tx.query(
      `create table ${name}_next (like ${name} including defaults including constraints including storage including compression)`,
    );
    const keys = await tx.query<Definition>(
      `select conname as name, pg_get_constraintdef(oid) as definition from pg_constraint
       where conrelid = $1::regclass and contype in ('p', 'u')`,
      [name],
    );
    for (const key of keys)
      await tx.query(`alter table ${name}_next add constraint ${key.name}_next ${key.definition}`);
    const indexes = await tx.query<Definition>(
      `select c.relname as name, pg_get_indexdef(c.oid) as definition
       from pg_index i join pg_class c on c.oid = i.indexrelid
       where i.indrelid = $1::regclass and not exists (select 1 from pg_constraint k where k.conindid = c.oid)`,
      [name],
    );
    for (const index of indexes)
      await tx.query(
        index.definition.replace(
          /^CREATE (UNIQUE )?INDEX \S+ ON \S+ /,
          `create $1index ${index.name}_next on ${name}_next `,
        ),
      );
  }
};

/** Takes the new tables away again, as far as there are any. */
export const dropNextTables = async (tx: Tx): Promise<void> => {
  await tx.query(`drop table if exists ${tables.map(({ name }) => `${name}_next`).join(', ')}`);
};

/**
 * Keeps everybody from the old tables, or throws SQLSTATE 55P03: those who read and write are not held up longer than
 * that. Writers first, as they go.
 */
export const lockTables = async (tx: Tx): Promise<void> => {
  await tx.query(`set local lock_timeout = '400ms'`);
  await tx.query('lock table event in share mode');
  await tx.query(`lock table ${tables.map(({ name }) => name).join(', ')} in access exclusive mode`);
};

/** Puts the new tables in the place of the old ones, which are gone then. */
export const switchTables = async (tx: Tx): Promise<void> => {
  for (const { name } of tables) {
    const triggers = await tx.query<{ definition: string }>(
      'select pg_get_triggerdef(oid) as definition from pg_trigger where tgrelid = $1::regclass and not tgisinternal',
      [name],
    );
    const references = await tx.query<Definition>(
      `select conname as name, pg_get_constraintdef(oid) as definition from pg_constraint
       where conrelid = $1::regclass and contype = 'f'`,
      [name],
    );
    await tx.query(`drop table ${name}`);
    await tx.query(`alter table ${name}_next rename to ${name}`);
    // Not before: what was let in at its time is not let in again.
    for (const { definition } of triggers) await tx.query(definition);
    for (const reference of references)
      await tx.query(`alter table ${name} add constraint ${reference.name} ${reference.definition}`);
    const keys = await tx.query<{ name: string }>(
      `select conname as name from pg_constraint
       where conrelid = $1::regclass and contype in ('p', 'u') and conname like '%\\_next'`,
      [name],
    );
    for (const key of keys)
      await tx.query(
        `alter table ${name} rename constraint ${key.name} to ${key.name.replace(/_next$/, '')}`,
      );
    const indexes = await tx.query<{ name: string }>(
      `select c.relname as name from pg_index i join pg_class c on c.oid = i.indexrelid
       where i.indrelid = $1::regclass and c.relname like '%\\_next'`,
      [name],
    );
    for (const index of indexes)
      await tx.query(`alter index ${index.name} rename to ${index.name.replace(/_next$/, '')}`);
  }
};

/** Statistics, so that the first query after the switch is planned as the last one before it. */
export const analyzeNextTables = async (tx: Tx): Promise<void> => {
  for (const { name } of tables) await tx.query(`analyze ${name}_next`);
};

/** Rows as they are now, by the names of the columns. */
export const upsertNext = async (
  tx: Tx,
  { name, columns, key }: ReadModelTable,
  rows: readonly object[],
): Promise<void> => {
  if (rows.length === 0) return;
  const all = Object.values(columns).map((column) => `"${column}"`);
  const rest = all.filter((column) => !key.includes(column.slice(1, -1)));
  const texts = rows.map((row) =>
    Object.fromEntries(
      Object.entries(columns).map(([property, column]) => [
        column,
        (row as Record<string, unknown>)[property],
      ]),
    ),
  );
  await tx.query(
    `insert into ${name}_next (${all.join(', ')})
     select ${all.join(', ')} from json_populate_recordset(null::${name}_next, $1::json)
     on conflict (${key.join(', ')}) do update set ${rest.map((one) => `${one} = excluded.${one}`).join(', ')}`,
    [JSON.stringify(texts)],
  );
};

/** Rows of whole spaces that are not the same in the old table and the new one, by table; those without any left out. */
export const differencesOf = async (
  tx: Tx,
  spaces: readonly string[],
): Promise<Readonly<Record<string, number>>> => {
  const found: Record<string, number> = {};
  for (const { name, key } of tables) {
    // An end has no space: it is its turn's.
    const within =
      name === 'turn_end'
        ? `turn_id in (select id from turn where space = any($1::uuid[])
             union select id from turn_next where space = any($1::uuid[]))`
        : 'space = any($1::uuid[])';
    const rows = (table: string) => `select * from ${table} where ${within}`;
    const one = (table: string, other: string) =>
      `select ${key.join(', ')} from (${rows(table)} except all ${rows(other)}) d`;
    const [row] = await tx.query<{ count: number }>(
      `select count(*)::int as count from (${one(name, `${name}_next`)} union ${one(`${name}_next`, name)}) d`,
      [spaces],
    );
    const { count } = must(row, 'a count has a row');
    if (count > 0) found[name] = count;
  }
  return found;
};
