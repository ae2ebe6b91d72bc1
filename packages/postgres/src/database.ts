import { currentTraceparent, type Logger, SpanKind, withSpan } from '@skein/telemetry';
import type pg from 'pg';
import { boundedConfig, connectionConfig, describeTarget, isPlainName } from './connection.ts';
import type { Database, QueryOptions, Sql } from './database-port.ts';
import { toFault } from './errors.ts';
import { checkMigrations, checkSchema, type Migration, migrate } from './migrations.ts';
import { type ConnectionPool, connectionPool } from './pool.ts';
import { runStatement } from './session.ts';
import { checkDurability, checkSearchPath, connectWithin } from './startup.ts';
import { runTransaction } from './transaction.ts';

/** Which database, whose schema, and the bounds. */
export interface DatabaseOptions {
  /** `postgres://user:password@host:port/name`, or with `?host=/directory` over a unix socket. */
  readonly url: string;
  /** The service's own schema: lower case, digits, underscores. It is the search path of every connection. */
  readonly schema: string;
  /** The schema's history from its first step. */
  readonly migrations: readonly Migration[];
  /** Shown in `pg_stat_activity`. */
  readonly applicationName: string;
  /** Most connections of this process. Default 4. */
  readonly poolSize?: number | undefined;
  /** Longest single statement. Default 30 s; over a dead network it is given up 3 s later. */
  readonly statementTimeoutMs?: number | undefined;
  /** Longest transaction, and longest pause between two statements of one. Default 60 s. */
  readonly transactionTimeoutMs?: number | undefined;
  /** How long `run` waits for a server that is not there yet. Default 30 s. */
  readonly waitMs?: number | undefined;
  /** How long a caller waits for a free connection before `overloaded`. Default 5 s. */
  readonly acquireTimeoutMs?: number | undefined;
  /** Most callers that may wait for a connection; further ones are `overloaded` at once. Default 1,000. */
  readonly maxWaiting?: number | undefined;
  /**
   * The server itself when `url` goes through a pooler (`DATABASE_DIRECT_URL`): migrations run there, a cancelled
   * statement cuts its connection, and statements have no names, because sessions are the pooler's. Default: `url`.
   */
  readonly directUrl?: string | undefined;
  /** Accept a server with `fsync`, `synchronous_commit` or `full_page_writes` off. Default false. */
  readonly allowDataLoss?: boolean | undefined;
}

/** How long `stop` lets running statements end before it cuts them. Below the 5 s a lifecycle gives each part. */
const stopGraceMs = 3_000;

/** The name of a statement, or its first word: never its text. */
const operationOf = (sql: Sql): string =>
  typeof sql === 'string' ? (/\w+/.exec(sql)?.[0] ?? 'query') : sql.name;

/**
 * A database as a service of the process. `run` waits for the server, checks it, brings the schema up to date and
 * resolves when it may be used; afterwards a lost server is met by `unavailable` until it is back, without help.
 */
export const openDatabase = (options: DatabaseOptions, { log }: { log: Logger }): Database => {
  const { url, schema, migrations, applicationName, directUrl = url, waitMs = 30_000 } = options;
  if (!isPlainName(schema))
    throw new Error(`"${schema}" is not a schema name: lower case, digits, underscores`);
  checkMigrations(migrations);
  const { statementTimeoutMs = 30_000, transactionTimeoutMs = 60_000 } = options;
  const shared = { schema, applicationName, statementTimeoutMs, transactionTimeoutMs };
  const config = connectionConfig({ ...shared, url });
  const pooled = directUrl !== url;
  const direct = pooled ? undefined : config;
  const stopping = new AbortController();
  let pool: ConnectionPool | undefined;

  const ready = (): ConnectionPool => {
    if (!pool) throw new Error('the database is used before run or after stop');
    return pool;
  };

  /** A span where somebody's trace passes; work of our own clockwork starts none. */
  const traced = <T>(operation: string, work: () => Promise<T>): Promise<T> => {
    if (currentTraceparent() === undefined) return work();
    const attributes = {
      'db.system.name': 'postgresql',
      'db.namespace': schema,
      'db.operation.name': operation,
    };
    return withSpan(`postgres ${operation}`, { kind: SpanKind.CLIENT, attributes }, work);
  };

  /** Gives `work` a connection of its own to `target`, as soon as there is one. */
  const once = async <T>(
    target: string,
    forMs: number,
    work: (client: pg.Client) => Promise<T>,
  ): Promise<T> => {
    const startupConfig = connectionConfig({ ...shared, url: target });
    const { signal } = stopping;
    const setting = pooled && target === directUrl ? 'DATABASE_DIRECT_URL' : 'DATABASE_URL';
    const client = await connectWithin(startupConfig, { url: target, setting, waitMs: forMs, signal, log });
    try {
      return await work(client);
    } catch (error) {
      throw toFault(error);
    } finally {
      // It may be gone already.
      await client.end().catch(() => {});
    }
  };

  /** Everything that is looked at before the schema is used; `schemaWork` is done in between, on the server itself. */
  const prepare = async <T>(forMs: number, schemaWork: (client: pg.Client) => Promise<T>): Promise<T> => {
    const done = await once(directUrl, forMs, async (client) => {
      if (!options.allowDataLoss) await checkDurability(client, directUrl);
      return schemaWork(client);
    });
    if (pooled) await once(url, forMs, (client) => checkSearchPath(client, url, schema));
    return done;
  };

  return {
    id: `postgres:${schema}`,
    async run() {
      const version = await prepare(waitMs, (client) => migrate(client, schema, migrations, log));
      log.info({ schema, version }, 'the database is ready');
      if (stopping.signal.aborted) return;
      pool = connectionPool({
        config: boundedConfig(config, statementTimeoutMs),
        size: options.poolSize ?? 4,
        acquireTimeoutMs: options.acquireTimeoutMs ?? 5_000,
        maxWaiting: options.maxWaiting ?? 1_000,
        log,
      });
    },
    async stop() {
      stopping.abort();
      const closing = pool;
      pool = undefined;
      await closing?.close(stopGraceMs);
    },
    async check(forMs) {
      const found = await prepare(forMs, (client) => checkSchema(client, schema, migrations));
      return `PostgreSQL at ${describeTarget(directUrl)} is reached: ${found}`;
    },
    async query<R>(sql: Sql, params?: readonly unknown[], query: QueryOptions = {}) {
      const run = () =>
        ready().lease(({ client }) => runStatement<R>(client, direct, sql, params, query), query.signal);
      return traced(operationOf(sql), run);
    },
    async transaction(fn, transactionOptions = {}) {
      return traced('transaction', () => runTransaction(ready(), direct, fn, transactionOptions));
    },
  };
};
