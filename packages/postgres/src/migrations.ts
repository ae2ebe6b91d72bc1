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
  /**
   * The oldest version of the code that works on the schema after this step. Default: `version - 1`. A release may
   * have several steps when each serves the code of the release before: that is what a rollback goes back to.
   */
  readonly serves?: number;
}

/** Longest wait for another process that migrates, and for locks of running queries on the tables concerned. */
const migratorWaitMs = 120_000;
const tableLockWaitMs = 10_000;

const checksum = (sql: string): string => createHash('sha256').update(sql).digest('hex');

/** Throws unless the versions are 1, 2, 3 … and each step serves code older than itself. */
export const checkMigrations = (migrations: readonly Migration[]): void => {
  for (const [index, { version, name, serves = version - 1 }] of migrations.entries()) {
    if (version !== index + 1)
      throw new Error(`migration "${name}" has version ${version}, expected ${index + 1}`);
    if (!Number.isInteger(serves) || serves < 0 || serves >= version)
      throw new Error(`migration "${name}" serves ${serves}, expected 0 to ${version - 1}`);
  }
};

/** What a schema remembers of a step. */
interface AppliedStep {
  readonly version: number;
  readonly checksum: string;
  readonly serves: number | null;
}

/** The oldest code that works on a schema once these steps have run on top of it: its number of steps. */
export const oldestServed = (
  steps: readonly { readonly version: number; readonly serves?: number | null }[],
): number => Math.max(0, ...steps.map(({ version, serves }) => serves ?? version - 1));

const refuse = (detail: string): AppError => new AppError('unavailable', detail);

/** The version a schema has; throws when this code may not run on it. */
const fittingVersion = (
  schema: string,
  applied: readonly AppliedStep[],
  migrations: readonly Migration[],
): number => {
  const code = migrations.length;
  const stored = applied.at(-1)?.version ?? 0;
  const serves = oldestServed(applied.filter(({ version }) => version > code));
  if (code < serves)
    throw refuse(
      `Schema ${schema} is at version ${stored}, which serves programs from version ${serves} on; this one is of version ${code}: start a newer program (a rollback goes back one release at most)`,
    );
  for (const { version, checksum: was } of applied) {
    const migration = migrations[version - 1];
    if (migration && checksum(migration.sql) !== was)
      throw refuse(
        `Migration ${version} (${migration.name}) of schema ${schema} was changed after it had run: restore its text and add a new migration`,
      );
  }
  return stored;
};

const readApplied = async (client: pg.Client, schema: string): Promise<AppliedStep[]> => {
  // Through JSON, because a table that older code made has no such column yet.
  const { rows } = await client.query<AppliedStep>(
    `select version, checksum, (to_jsonb(step) ->> 'serves')::int as serves
     from "${schema}".schema_migrations step order by version`,
  );
  return rows;
};

const hasSchema = async (client: pg.Client, schema: string): Promise<boolean> => {
  const { rowCount } = await client.query('select 1 from pg_namespace where nspname = $1', [schema]);
  return rowCount !== 0;
};

const hasColumn = async (client: pg.Client, schema: string): Promise<boolean> => {
  const { rowCount } = await client.query(
    `select 1 from information_schema.columns
     where table_schema = $1 and table_name = 'schema_migrations' and column_name = 'serves'`,
    [schema],
  );
  return rowCount !== 0;
};

/**
 * Brings `schema` to the newest version this code knows, all in one transaction under an advisory lock, so that any
 * number of processes may do it at once. A schema serves the code that made it and the one before (`Migration.serves`);
 * older code is refused, and so is a history whose text was changed. Returns the version the schema has now.
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
    // Quoted: a schema may be called what SQL reserves, such as "user".
    if (!(await hasSchema(client, schema))) await client.query(`create schema "${schema}"`);
    await client.query(
      `create table if not exists "${schema}".schema_migrations (
         version int primary key, name text not null, checksum text not null, serves int,
         applied_at timestamptz not null default now())`,
    );
    // Asked first here too: a change that changes nothing would still wait for whoever reads the table.
    if (!(await hasColumn(client, schema)))
      await client.query(`alter table "${schema}".schema_migrations add column serves int`);
    const stored = fittingVersion(schema, await readApplied(client, schema), migrations);
    if (stored > code)
      log.warn({ schema, stored, code }, 'the schema is ahead of this program, which it serves');
    for (const { version, name, sql, serves = version - 1 } of migrations.slice(stored)) {
      await client.query(sql);
      await client.query(
        `insert into "${schema}".schema_migrations (version, name, checksum, serves) values ($1, $2, $3, $4)`,
        [version, name, checksum(sql), serves],
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

/**
 * What `migrate` would do, in a sentence, and nothing of it done. Throws what it would throw, and also when the
 * programs that run now would not work on the schema after it: an upgrade that leaves a release out.
 */
export const checkSchema = async (
  client: pg.Client,
  schema: string,
  migrations: readonly Migration[],
): Promise<string> => {
  const code = migrations.length;
  if (!(await hasSchema(client, schema))) {
    const { rows } = await client.query<{ may: boolean }>(
      `select has_database_privilege(current_database(), 'create') as may`,
    );
    if (rows[0]?.may) return `schema ${schema} will be made, at version ${code}`;
    throw refuse(
      `Schema ${schema} is not there and may not be made: give the user CREATE on the database, or make the schema for it`,
    );
  }
  // An empty schema that somebody made for us.
  const { rows } = await client.query<{ made: boolean }>('select to_regclass($1) is not null as made', [
    `"${schema}".schema_migrations`,
  ]);
  const applied = rows[0]?.made ? await readApplied(client, schema) : [];
  const stored = fittingVersion(schema, applied, migrations);
  if (stored > code)
    return `schema ${schema} is at version ${stored} and serves this program, of version ${code}`;
  if (stored === code) return `schema ${schema} is at version ${stored}`;
  const serves = oldestServed(migrations.slice(stored));
  if (stored > 0 && stored < serves)
    throw refuse(
      `Schema ${schema} is at version ${stored} and would be brought to ${code}, which serves programs from version ${serves} on, so those that run now would fail: upgrade to the release before this one first, or stop all services and start this one without the check`,
    );
  return `schema ${schema} will be brought from version ${stored} to ${code}`;
};
