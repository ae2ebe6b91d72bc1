import { AppError } from '@skein/contracts';
import { type Database, idempotent, type Tx } from '@skein/postgres';
import { participant } from '@skein/saga';
import type { HealthRecords, PendingRecord } from '../app/health-records.ts';
import type { RecordingInput } from '../app/record-health-data.ts';
import { type LedgerDocument, ledgerCollection } from '../domain/ledger.ts';
import type { LedgerRow } from '../domain/state.ts';
import { holdTables } from './read-model-tables.ts';

/** Starts the saga of a record if the transaction commits. */
export type StartRecording = (
  tx: Tx,
  input: RecordingInput,
  options: { readonly subject: string; readonly correlationId: string },
) => Promise<{ readonly id: string }>;

/** Entries of one page: some 400 KB. */
const pageRows = 1_000;

/** Documents of one page: so many, and no more bytes than this but for the first. */
const pageDocuments = 500;
const pageBytes = 4_000_000;

type Found<T> = T & Record<string, unknown>;

const entries = async (
  tx: Tx,
  space: string,
  told: (row: LedgerRow) => void,
  signal: AbortSignal,
): Promise<void> => {
  for (let after = 0; ; ) {
    signal.throwIfAborted();
    const rows = await tx.query<Found<LedgerRow>>(
      {
        name: 'session_sync_ledger_page',
        text: `select space, position, hash, commitment, salt, record from ledger_entry
               where space = $1 and position > $2 order by position limit ${pageRows}`,
      },
      [space, after],
    );
    for (const row of rows) told(row);
    if (rows.length < pageRows) return;
    after = rows.at(-1)?.position ?? after;
  }
};

const documents = async (
  tx: Tx,
  space: string,
  told: (row: LedgerDocument) => void,
  signal: AbortSignal,
): Promise<void> => {
  for (let after = ''; ; ) {
    signal.throwIfAborted();
    const rows = await tx.query<Found<LedgerDocument>>(
      {
        name: 'session_sync_ledger_documents',
        text: `select id, value, hash, deleted from (
                 select *, sum(octet_length(value)) over (order by id) - octet_length(value) as before
                 from (select id, value, hash, deleted from document
                       where space = $1 and collection = $2 and id > $3 order by id limit ${pageDocuments}) page) sized
               where before < ${pageBytes} order by id`,
      },
      [space, ledgerCollection, after],
    );
    const last = rows.at(-1);
    if (!last) return;
    for (const row of rows) told(row);
    after = last.id;
  }
};

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

  /** One at a time: it reads the whole ledger and holds what it says of every record. */
  let reading = false;
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
    readLedger: async (space, told, signal) => {
      if (reading)
        throw new AppError('overloaded', 'Too many ledgers are checked at once', { retryAfterMs: 500 });
      reading = true;
      try {
        await database.transaction(
          async (tx) => {
            await holdTables(tx);
            await entries(tx, space, told.entry, signal);
            await documents(tx, space, told.document, signal);
          },
          { isolation: 'repeatable read', readOnly: true, signal },
        );
      } finally {
        reading = false;
      }
    },
  };
};
