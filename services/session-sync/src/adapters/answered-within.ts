import type { Queryable } from '@skein/postgres';

/** Gives every statement so long for its answer, instead of what the pool gives it. */
export const answeredWithin = (db: Queryable, answerMs: number): Queryable => ({
  query: (sql, params, options) => db.query(sql, params, { answerMs, ...options }),
});
