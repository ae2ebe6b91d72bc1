import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '@skein/contracts';
import type pg from 'pg';
import type { QueryOptions, Sql, TransactionOptions, Tx } from './database-port.ts';
import {
  abortFault,
  CommitUnknown,
  isConnectionLoss,
  isFatal,
  isSerializationFailure,
  toFault,
} from './errors.ts';
import type { ConnectionPool, Lease } from './pool.ts';
import { ask, runStatement } from './session.ts';

/** Under heavy contention a sixth attempt seldom fares better; the caller has more context to decide. */
const maxRetries = 5;

const begin = ({ isolation = 'read committed', readOnly = false }: TransactionOptions): string =>
  isolation === 'read committed' && !readOnly
    ? 'begin'
    : `begin isolation level ${isolation} ${readOnly ? 'read only' : 'read write'}`;

const eitherSignal = (a: AbortSignal | undefined, b: AbortSignal | undefined): AbortSignal | undefined =>
  a && b && a !== b ? AbortSignal.any([a, b]) : (a ?? b);

const commit = async ({ client }: Lease): Promise<void> => {
  let command: string;
  try {
    ({ command } = await ask(client, 'commit'));
  } catch (error) {
    if (!isConnectionLoss(error) && !isFatal(error)) throw toFault(error);
    const cause = new CommitUnknown('the connection was lost while COMMIT was under way', { cause: error });
    throw new AppError('unavailable', 'The database went away while committing', { cause });
  }
  // The server answers COMMIT of a failed transaction with ROLLBACK and no error.
  if (command !== 'COMMIT')
    throw new Error('the transaction was rolled back: an error of a statement in it was swallowed');
};

const attempt = async <T>(
  lease: Lease,
  direct: pg.ClientConfig | undefined,
  fn: (tx: Tx) => Promise<T>,
  options: TransactionOptions,
): Promise<T> => {
  const { client } = lease;
  await runStatement(client, direct, begin(options), undefined, { signal: options.signal });
  let open = true;
  let last: Promise<unknown> = Promise.resolve();
  const tx: Tx = {
    query<R>(sql: Sql, params?: readonly unknown[], query: QueryOptions = {}): Promise<R[]> {
      if (!open) return Promise.reject(new Error('the transaction has ended'));
      // One after the other, also when the caller does not wait: a connection does one thing at a time.
      const signal = eitherSignal(query.signal, options.signal);
      const run = () => runStatement<R>(client, direct, sql, params, { ...query, signal });
      const result = last.then(run, run);
      last = result;
      return result;
    },
  };
  try {
    const result = await fn(tx);
    open = false;
    // Also one the function did not wait for; if it failed, COMMIT tells.
    await last.catch(() => {});
    if (options.signal?.aborted) throw abortFault(options.signal);
    await commit(lease);
    return result;
  } catch (error) {
    open = false;
    await last.catch(() => {});
    await ask(client, 'rollback').catch(() => lease.discard());
    throw error;
  }
};

/** Runs a function in a transaction of the pool; `Database.transaction` tells what it promises. */
export const runTransaction = async <T>(
  pool: ConnectionPool,
  direct: pg.ClientConfig | undefined,
  fn: (tx: Tx) => Promise<T>,
  options: TransactionOptions,
): Promise<T> => {
  for (let retry = 1; ; retry += 1) {
    try {
      return await pool.lease((lease) => attempt(lease, direct, fn, options), options.signal);
    } catch (error) {
      if (!isSerializationFailure(error) || retry > maxRetries || options.signal?.aborted) throw error;
      // Full jitter: those who collided do not meet again.
      await delay(Math.random() * 5 * 2 ** retry);
    }
  }
};
