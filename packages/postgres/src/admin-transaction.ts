import type pg from 'pg';
import { connectionConfig } from './connection.ts';
import type { Tx } from './database-port.ts';
import { toFault } from './errors.ts';
import { runStatement } from './session.ts';
import { connectWithin } from './startup.ts';

/** A person is waiting. */
const waitMs = 5_000;
const timeoutMs = 10 * 60_000;

/**
 * One transaction over all schemas of a database, on a connection of its own: for operators' commands, not for
 * services. Committed when `fn` returns, rolled back when it throws. `unavailable` with a sentence when the server
 * cannot be reached.
 */
export const adminTransaction = async <T>(url: string, fn: (tx: Tx) => Promise<T>): Promise<T> => {
  const config = connectionConfig({
    ...{ url, schema: 'public', applicationName: 'skein' },
    ...{ statementTimeoutMs: timeoutMs, transactionTimeoutMs: timeoutMs },
  });
  const never = new AbortController().signal;
  const client: pg.Client = await connectWithin(config, {
    ...{ url, setting: 'DATABASE_URL', waitMs, signal: never },
    log: { warn: () => {} },
  });
  try {
    await client.query('begin');
    const result = await fn({ query: (sql, params) => runStatement(client, config, sql, params) });
    await client.query('commit');
    return result;
  } catch (error) {
    // The first error is the one to tell; without a commit the server rolls back.
    throw toFault(error);
  } finally {
    await client.end().catch(() => {});
  }
};
