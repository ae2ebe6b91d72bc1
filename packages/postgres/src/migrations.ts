import { createHash } from 'node:crypto';
import { AppError } from '@skein/contracts';
import type { Logger } from '@skein/telemetry';
import type pg from 'pg';

/** One step of a schema's history. Its text never changes once it has run anywhere: a change is a new step. */
export interface Migration {
  /** 1, 2, 3 … without gaps. */
  readonly version: number;
  /** What it does, in a few words; for logs. */
  readonly name: string;
  /** One or more statements; they run in a transaction with all the other pending steps. */
  readonly sql: string;
}

/** Longest wait for another process that migrates, and for locks of running queries on the tables concerned. */
const migratorWaitMs = 120_000;
const tableLockWaitMs = 10_000;

const checksum = (sql: string): string => createHash('sha256').update(sql).digest('hex');

/** Throws unless the versions are 1, 2, 3 … */
export const checkMigrations = (migrations: readonly Migration[]): void => {
  for (const [index, { version, name }] of migrations.entries())
    if (version !== index + 1)
      throw new Error(`migration "${name}" has version ${version}, expected ${index + 1}`);
};

/**
 * Brings `schema` to the newest version this code knows, all in one transaction under an advisory lock, so that any
 * number of processes may do it at once. Schema N serves code N and N − 1; older code is refused, and so is a
 * history whose text was changed. Returns the version the schema has now.
 */
export const migrate = async (
  client: pg.Client,
  schema: string,
  migrations: readonly Migration[],
  log: Pick<Logger, 'info' | 'warn'>,
): Promise<number> => {
  checkMigrations(migrations);
  const code = migrations.length;
  await client.query('begin');
  try {
    await client.query(
      `set local statement_timeout = 0; set local transaction_timeout = 0; set local lock_timeout = ${migratorWaitMs}`,
    );
    await client.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [
      `skein migrations of ${schema}`,
    ]);
    await client.query(`set local lock_timeout = ${tableLockWaitMs}`);
    // Asked first, because `if not exists` needs the right to create schemas even when there is nothing to create.
    const { rowCount } = await client.query('select 1 from pg_namespace where nspname = $1', [schema]);
    // Quoted: a schema may be called what SQL reserves, such as "user".
    if (rowCount === 0) await client.query(`create schema "${schema}"`);
    await client.query(
      `create table if not exists "${schema}".schema_migrations (
         version int primary key, name text not null, checksum text not null,
         applied_at timestamptz not null default now())`,
    );
    const { rows: applied } = await client.query<{ version: number; checksum: string }>(
      `select version, checksum from "${schema}".schema_migrations order by version`,
    );
    const stored = applied.at(-1)?.version ?? 0;
    if (stored > code + 1)
      throw new AppError(
        'unavailable',
        `Schema ${schema} is at version ${stored}, this program knows ${code} and serves at most ${code + 1}: start a newer program`,
      );
    for (const { version, checksum: was } of applied) {
      const migration = migrations[version - 1];
      if (migration && checksum(migration.sql) !== was)
        throw new AppError(
          'unavailable',
          `Migration ${version} (${migration.name}) of schema ${schema} was changed after it had run: restore its text and add a new migration`,
        );
    }
    if (stored === code + 1)
      log.warn({ schema, stored, code }, 'the schema is one version ahead of this program');
    for (const { version, name, sql } of migrations.slice(stored)) {
      await client.query(sql);
      await client.query(
        `insert into "${schema}".schema_migrations (version, name, checksum) values ($1, $2, $3)`,
        [version, name, checksum(sql)],
      );
      log.info({ schema, version, name }, 'migrated');
    }
    await client.query('commit');
    return Math.max(stored, code);
  } catch (error) {
    // The first error is the one to tell.
    await client.query('rollback').catch(() => {});
    throw error;
  }
};
