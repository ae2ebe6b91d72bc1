import { AppError } from '@skein/contracts';
import { type Database, idempotent, type Tx } from '@skein/postgres';
import { participant } from '@skein/saga';
import type { HealthRecords, PendingRecord } from '../app/health-records.ts';
import type { RecordingInput } from '../app/record-health-data.ts';
import { type LedgerDocument, ledgerCollection } from '../domain/ledger.ts';
import type { LedgerRow } from '../domain/state.ts';

/** Starts the saga of a record if the transaction commits. */
export type StartRecording = (
  tx: Tx,
  input: RecordingInput,
  options: { readonly subject: string; readonly correlationId: string },
) => Promise<{ readonly id: string }>;

/** Entries of one page: some 400 KB. */
const pageRows = 1_000;

type Found<T> = T & Record<string, unknown>;

/** Records on their way and ledgers of this service's schema; `started` is told after each commit. */
export const postgresHealthRecords = (
  database: Database,
  start: StartRecording,
  started: () => void,
): HealthRecords => {
  const insert = (
    tx: Tx,
    sagaId: string,
    { id, space, userId, value, question, createdAtMs }: PendingRecord,
  ) =>
    tx.query(
      `insert into health_record (id, saga_id, space, user_id, state, value, question, created_at_ms)
       values ($1, $2, $3, $4, 'asked', $5, $6, $7)`,
      [id, sagaId, space, userId, value, question, createdAtMs],
    );

  return {
    begin: async (record, input, { key, bodyHash, correlationId }) => {
      const { userId } = record;
      const answer = await database.transaction(async (tx) => {
        const work = async () => {
          const saga = await start(tx, input, { subject: userId, correlationId });
          await insert(tx, saga.id, record);
          return { recordId: record.id, sagaId: saga.id };
        };
        if (key === undefined) return work();
        return idempotent(tx, { scope: userId, method: 'RecordHealthData', key, bodyHash }, work);
      });
      started();
      return answer;
    },
    get: async (id) => {
      const [row] = await database.query<Found<PendingRecord>>(
        `select id, space, user_id as "userId", value, question, created_at_ms as "createdAtMs"
         from health_record where id = $1`,
        [id],
      );
      if (!row) throw new AppError('not_found', 'There is no such record');
      return row;
    },
    save: (id, key) =>
      database.transaction((tx) =>
        participant.once(tx, key, async () => {
          const rows = await tx.query(`update health_record set state = 'saved' where id = $1 returning 1`, [
            id,
          ]);
          if (rows.length === 0) throw new AppError('not_found', 'There is no such record');
        }),
      ),
    drop: (id, key) =>
      database.transaction((tx) =>
        participant.undo(tx, key, async () => {
          await tx.query('delete from health_record where id = $1', [id]);
        }),
      ),
    readLedger: (space, entry, signal) =>
      database.transaction(
        async (tx) => {
          let after = 0;
          for (;;) {
            signal.throwIfAborted();
            const rows = await tx.query<Found<LedgerRow>>(
              {
                name: 'session_sync_ledger_page',
                text: `select space, position, hash, commitment, salt, record from ledger_entry
                       where space = $1 and position > $2 order by position limit ${pageRows}`,
              },
              [space, after],
            );
            for (const row of rows) entry(row);
            after = rows.at(-1)?.position ?? after;
            if (rows.length < pageRows) break;
          }
          return tx.query<Found<LedgerDocument>>(
            'select id, hash, deleted from document where space = $1 and collection = $2',
            [space, ledgerCollection],
          );
        },
        { isolation: 'repeatable read', readOnly: true, signal },
      ),
  };
};
