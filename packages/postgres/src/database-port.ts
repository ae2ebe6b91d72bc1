import type { Service } from '@skein/service-kit';

/** A row as a query returns it. */
export type Row = Record<string, unknown>;

/** SQL text, or a named statement that each connection prepares once (`name` must always mean the same text). */
export type Sql = string | { readonly name: string; readonly text: string };

/** How one query may be stopped. */
export interface QueryOptions {
  /** When it aborts the query is cancelled on the server; the promise rejects with `cancelled` or `deadline_exceeded`. */
  readonly signal?: AbortSignal | undefined;
  /**
   * How long the answer may take: after it the connection is cut and the query is `unavailable`, whatever became of it
   * on the server. Default: the database's bound of a statement and 3 s; whoever raises that bound for a transaction
   * (`set local statement_timeout`) gives more here too.
   */
  readonly answerMs?: number | undefined;
}

/** What both a database and a transaction can do. */
export interface Queryable {
  /**
   * Runs one statement and returns its rows. Values go as `$1 … $n`, never into the text. `int8` comes back as a
   * number (a value beyond 2^53 is an error), `xid8`, `numeric`, `date` and `timestamp` as strings, `timestamptz`
   * as `Date`. Errors: `unavailable` (connection), `overloaded` (no free connection), `deadline_exceeded`,
   * `cancelled`; an error of the statement itself stays a `pg` error with its SQLSTATE in `code`.
   */
  query<R = Row>(sql: Sql, params?: readonly unknown[], options?: QueryOptions): Promise<R[]>;
}

/** An open transaction. It must not be used after its function has returned. */
export interface Tx extends Queryable {}

/** How a transaction runs. */
export interface TransactionOptions extends QueryOptions {
  /** Default `read committed`. */
  readonly isolation?: 'read committed' | 'repeatable read' | 'serializable' | undefined;
  readonly readOnly?: boolean | undefined;
}

/** A service's own schema of one database, and the pool of connections to it. */
export interface Database extends Queryable, Service {
  /**
   * Runs `fn` in a transaction: committed when it returns, rolled back when it throws. Serialization failures and
   * deadlocks (40001, 40P01) run `fn` again, at most 5 times, so `fn` has no effect but through `tx`; after that
   * they are `conflict`. A connection lost during COMMIT rejects with an error for which `isCommitUnknown` is true.
   */
  transaction<T>(fn: (tx: Tx) => Promise<T>, options?: TransactionOptions): Promise<T>;
}
