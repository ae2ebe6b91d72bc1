import { AppError } from '@skein/contracts';
import type { Logger } from '@skein/telemetry';
import pg from 'pg';
import { abortFault, isFatal, toFault } from './errors.ts';

/** A connection taken from the pool for a while. */
export interface Lease {
  readonly client: pg.PoolClient;
  /** Closes the connection instead of giving it back, because its state is not known. */
  discard(): void;
}

/** Bounds of a pool. */
export interface PoolOptions {
  readonly config: pg.ClientConfig;
  readonly size: number;
  readonly acquireTimeoutMs: number;
  /** Most callers waiting for a connection; the next one is refused at once. */
  readonly maxWaiting: number;
  readonly log: Pick<Logger, 'warn'>;
}

/** A bounded pool of connections that heals itself: a broken connection is never handed out twice. */
export interface ConnectionPool {
  /** Runs `fn` with a connection of its own, closed afterwards when it broke. Errors: `overloaded`, `unavailable`. */
  lease<T>(fn: (lease: Lease) => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** Closes: gives what is running `graceMs` to end, then cuts it. */
  close(graceMs: number): Promise<void>;
}

/** Connections idle for longer are closed: an idle backend costs the server memory. */
const idleTimeoutMs = 30_000;

export const connectionPool = ({
  config,
  size,
  acquireTimeoutMs,
  maxWaiting,
  log,
}: PoolOptions): ConnectionPool => {
  const pool = new pg.Pool({
    ...config,
    max: size,
    idleTimeoutMillis: idleTimeoutMs,
    connectionTimeoutMillis: acquireTimeoutMs,
  });
  // An idle connection broke: the pool has already dropped it.
  pool.on('error', (error) => log.warn({ reason: error.message }, 'lost an idle database connection'));
  const leased = new Set<pg.PoolClient>();

  const acquire = async (signal: AbortSignal | undefined): Promise<pg.PoolClient> => {
    if (signal?.aborted) throw abortFault(signal);
    if (pool.waitingCount >= maxWaiting) throw new AppError('overloaded', 'Too many wait for the database');
    const connecting = pool.connect().catch((error: Error) => {
      if (error.message === 'timeout exceeded when trying to connect')
        throw new AppError('overloaded', 'All database connections are busy', { cause: error });
      throw toFault(error, signal);
    });
    if (!signal) return connecting;
    return new Promise((resolve, reject) => {
      let gone = false;
      const onAbort = () => {
        gone = true;
        reject(abortFault(signal));
      };
      signal.addEventListener('abort', onAbort, { once: true });
      connecting.then(
        (client) => {
          signal.removeEventListener('abort', onAbort);
          // The place in the queue cannot be taken back, so a late connection goes to the next in line.
          if (gone) client.release();
          else resolve(client);
        },
        (error) => {
          signal.removeEventListener('abort', onAbort);
          reject(error);
        },
      );
    });
  };

  return {
    async lease(fn, signal) {
      const client = await acquire(signal);
      let broken = false;
      const discard = () => {
        broken = true;
      };
      // Without a listener a connection lost between two statements would end the process.
      client.on('error', discard);
      leased.add(client);
      try {
        return await fn({ client, discard });
      } catch (error) {
        if (isFatal(error)) discard();
        throw error;
      } finally {
        leased.delete(client);
        client.off('error', discard);
        // One that was cut for its silence says so only a moment later.
        client.release(broken || client.connection.stream.destroyed);
      }
    },
    async close(graceMs) {
      const cut = setTimeout(() => {
        for (const client of leased) client.connection.stream.destroy();
      }, graceMs);
      await pool.end();
      clearTimeout(cut);
    },
  };
};
