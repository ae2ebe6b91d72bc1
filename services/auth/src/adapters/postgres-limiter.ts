import type { Database } from '@skein/postgres';
import type { Limiter } from '../app/ports.ts';

/**
 * GCRA (generic cell rate algorithm) shared by all replicas: `perMinute()` attempts at once, then one every
 * 60 / `perMinute()` seconds. One row a key, one statement an attempt, by the database's clock. Without the
 * database there is no attempt: signing in needs it anyway.
 */
export const postgresLimiter = (database: Database, perMinute: () => number): Limiter => {
  return {
    async take(key) {
      const intervalMs = 60_000 / perMinute();
      const toleranceMs = 60_000 - intervalMs;
      const taken = await database.query(
        {
          name: 'limit_take',
          text: `insert into rate_limits as r (key, arrives_at)
                 values ($1, clock_timestamp() + make_interval(secs => $2 / 1000.0))
                 on conflict (key) do update
                   set arrives_at = greatest(r.arrives_at, clock_timestamp()) + make_interval(secs => $2 / 1000.0)
                   where r.arrives_at <= clock_timestamp() + make_interval(secs => $3 / 1000.0)
                 returning 1`,
        },
        [key, intervalMs, toleranceMs],
      );
      if (taken.length > 0) return undefined;
      const [row] = await database.query<{ wait_ms: number }>(
        `select ceil(extract(epoch from arrives_at - clock_timestamp()) * 1000)::int8 as wait_ms
         from rate_limits where key = $1`,
        [key],
      );
      // Pruned or come due between the two statements: the next attempt may be at once.
      return Math.max((row?.wait_ms ?? 0) - toleranceMs, 1);
    },
  };
};
