import { AppError } from '@skein/contracts';
import type { Database } from '@skein/postgres';
import type { MetricRegistry } from '@skein/telemetry';

type Work = 'query' | 'transaction';

/**
 * A database whose work is measured: how long queries and transactions take, waiting for a connection included, how
 * they end (`ok`, a code of the error table, or `refused` by the statement itself), and how many are under way.
 */
export const measuredDatabase = (inner: Database, metrics: MetricRegistry): Database => {
  const duration = metrics.histogram(
    'skein_database_seconds',
    'How long queries and transactions took, waiting for a connection included, by work and code.',
  );
  let underWay = 0;
  metrics.gauge(
    'skein_database_in_flight',
    'Queries and transactions under way; beyond DATABASE_POOL_SIZE they wait for a connection.',
    () => underWay,
  );
  const measured = async <T>(work: Work, run: () => Promise<T>): Promise<T> => {
    const startedMs = performance.now();
    const done = (code: string) => duration.observe((performance.now() - startedMs) / 1_000, { work, code });
    underWay += 1;
    try {
      const result = await run();
      done('ok');
      return result;
    } catch (error) {
      done(error instanceof AppError ? error.code : 'refused');
      throw error;
    } finally {
      underWay -= 1;
    }
  };
  return {
    ...inner,
    query: (sql, params, options) => measured('query', () => inner.query(sql, params, options)),
    transaction: (fn, options) => measured('transaction', () => inner.transaction(fn, options)),
  };
};
