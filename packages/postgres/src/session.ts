import pg from 'pg';
import type { QueryOptions, Sql } from './database-port.ts';
import { abortFault, isSilence, toFault } from './errors.ts';

/** Long enough for a cancel request to arrive; then the connection is cut instead. */
const cancelTimeoutMs = 2_000;

/** Asks the server to stop what a connection is doing, and cuts the connection when that does not help in time. */
const cancel = async (client: pg.Client, config: pg.ClientConfig): Promise<void> => {
  const { processID } = client as unknown as { processID: number | null };
  const side = new pg.Client({
    ...config,
    connectionTimeoutMillis: cancelTimeoutMs,
    query_timeout: cancelTimeoutMs,
  });
  // Its failures surface through the promises below.
  side.on('error', () => {});
  try {
    await side.connect();
    await side.query('select pg_cancel_backend($1)', [processID]);
  } catch {
    client.connection.stream.destroy();
  } finally {
    // Nothing to do for a side connection that cannot say goodbye.
    side.end().catch(() => {});
  }
};

/** Runs a query; the connection of one that is not answered in time is cut, and what waits behind it fails at once. */
export const ask = async (client: pg.Client, query: string | pg.QueryConfig): Promise<pg.QueryResult> => {
  try {
    return await client.query(query);
  } catch (error) {
    if (isSilence(error)) client.connection.stream.destroy();
    throw error;
  }
};

/**
 * Runs a statement on a connection. An aborted signal cancels it on the server, by a side connection with the settings
 * `direct`; the promise settles only when the cancel request is answered too, so that it can never hit the next
 * statement of this connection. Without `direct` there is a pooler in between, and sessions are its own: the
 * connection is cut instead, and no statement has a name. Errors come back as faults.
 */
export const runStatement = async <R>(
  client: pg.Client,
  direct: pg.ClientConfig | undefined,
  sql: Sql,
  params: readonly unknown[] | undefined,
  { signal, answerMs }: QueryOptions = {},
): Promise<R[]> => {
  if (signal?.aborted) throw abortFault(signal);
  const text = typeof sql === 'string' ? sql : sql.text;
  const statement = {
    ...(typeof sql === 'string' || !direct ? { text } : { name: sql.name, text }),
    // The driver's own option, which its types leave out.
    ...(answerMs === undefined ? {} : { query_timeout: answerMs }),
  };
  let cancelling: Promise<void> | undefined;
  let cut: NodeJS.Timeout | undefined;
  const onAbort = () => {
    if (!direct) {
      client.connection.stream.destroy();
      return;
    }
    cancelling = cancel(client, direct);
    cut = setTimeout(() => client.connection.stream.destroy(), cancelTimeoutMs);
  };
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    const result = await ask(client, params ? { ...statement, values: [...params] } : statement);
    // Several statements in one text give several results: the last one counts.
    return ([result].flat().at(-1)?.rows ?? []) as R[];
  } catch (error) {
    throw toFault(error, signal);
  } finally {
    signal?.removeEventListener('abort', onAbort);
    await cancelling;
    clearTimeout(cut);
  }
};
