export { adminTransaction } from './admin-transaction.ts';
export { type DatabaseOptions, openDatabase } from './database.ts';
export type { Database, Queryable, QueryOptions, Row, Sql, TransactionOptions, Tx } from './database-port.ts';
export {
  type EmbeddedExit,
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
  embeddedPostgres,
} from './embedded.ts';
export {
  CommitUnknown,
  isCommitUnknown,
  isConnectionLoss,
  isSerializationFailure,
  isUniqueViolation,
  sqlState,
} from './errors.ts';
export { type GroupCommit, type GroupCommitOptions, groupCommit } from './group-commit.ts';
export {
  type IdempotentRequest,
  idempotencyTableSql,
  idempotencyTtlHours,
  idempotent,
  pruneIdempotencyKeys,
} from './idempotency.ts';
export { type Migration, oldestServed } from './migrations.ts';
