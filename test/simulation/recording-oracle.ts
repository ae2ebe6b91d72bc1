import type { Database } from '@skein/postgres';
import { nativeSha256 } from '../../services/session-sync/src/adapters/native-sha256.ts';
import { type LedgerDocument, ledgerCheck } from '../../services/session-sync/src/domain/ledger.ts';
import type { LedgerRow } from '../../services/session-sync/src/domain/state.ts';
import type { Asked } from './recorder.ts';

/** A saga, and everything it has left in the database. */
export interface Recording {
  readonly id: string;
  readonly state: string;
  readonly record: string;
  readonly space: string;
  /** Of the request: each has its own. */
  readonly key: string;
  /** `live` or `deleted`, of each document. */
  readonly documents: readonly string[];
  /** What its entries in the ledger say. */
  readonly entries: readonly string[];
  /** The end of each turn that was asked for, or its state. */
  readonly turns: readonly string[];
}

type Row<T> = T & Record<string, unknown>;

/** The sagas that have not ended, by id. */
export const liveSagas = (database: Database): Promise<{ id: string; state: string }[]> =>
  database.query({ name: 'sim_live_sagas', text: 'select id, state from saga where ended_at is null' });

/** Every recording with what it has left, and the faults of the ledgers. */
export const readRecordings = async (
  database: Database,
): Promise<{ readonly recordings: readonly Recording[]; readonly faults: readonly string[] }> => {
  const sagas = await database.query<{ id: string; state: string; input: string }>(
    `select id, state, input from saga where name = 'record-health-data' order by id`,
  );
  const ledger = await database.query<Row<LedgerRow>>(
    `select space, position, hash, commitment, salt, record from ledger_entry order by space, position`,
  );
  const documents = await database.query<Row<LedgerDocument & { space: string }>>(
    `select space, id, value, hash, deleted from document where collection = 'health_data' order by space, id`,
  );
  const turns = await database.query<{ id: string; state: string }>(
    `select m.client_message_id as id, coalesce(e.outcome, t.state) as state from message m
     join turn t on t.id = m.turn_id left join turn_end e on e.turn_id = t.id
     where m.client_message_id like 'health-record-%' order by m.client_message_id`,
  );
  const said = ledger.map(({ record }) => JSON.parse(record ?? '{}') as { id: string; kind: string });
  const recordings = sagas.map(({ id, state, input }): Recording => {
    const { record, space, device: key } = JSON.parse(input);
    return {
      ...{ id, state, record, space, key },
      documents: documents.flatMap((one) => (one.id === record ? [one.deleted ? 'deleted' : 'live'] : [])),
      entries: said.flatMap((one) => (one.id === record ? [one.kind] : [])),
      turns: turns.flatMap((one) => (one.id === `health-record-${record}` ? [one.state] : [])),
    };
  });
  const faults = [...new Set(ledger.map(({ space }) => space))].flatMap((space) => {
    const check = ledgerCheck(nativeSha256, space);
    for (const one of ledger) if (one.space === space) check.entry(one);
    for (const one of documents) if (one.space === space) check.document(one);
    return check
      .end()
      .faults.map(({ position, fault }) => `ledger: ${fault} at ${position} of the chain of ${space}`);
  });
  return { recordings, faults };
};

/** What there is when a saga has done everything, once; and what when all of it was taken back. */
const wholeEnds: Readonly<Record<string, readonly string[]>> = {
  done: ['live recorded 1'],
  compensated: ['  0', 'deleted recorded,reversed 0', 'deleted recorded,reversed 1'],
};

/**
 * Every saga ends done or taken back, with every effect once and none left half-way; what was answered has one saga;
 * `restored`: the database knows less than was answered.
 */
export const recordingFaults = (
  { recordings, faults }: Awaited<ReturnType<typeof readRecordings>>,
  asked: ReadonlyMap<string, Asked>,
  restored: boolean,
): string[] => {
  const wrong = [...faults];
  const keys = new Map<string, string>();
  for (const { id, state, key, documents, entries, turns } of recordings) {
    const left = `${documents.join()} ${entries.join()} ${turns.length}`;
    if (!(wholeEnds[state] ?? []).includes(left))
      wrong.push(`saga: that of ${key} ended ${state} and left "${left}"`);
    if (keys.has(key)) wrong.push(`saga: ${key} was begun twice`);
    keys.set(key, id);
  }
  if (restored) return wrong;
  for (const [key, { answer }] of asked)
    if (answer && keys.get(key) !== answer.sagaId)
      wrong.push(`saga: that of ${key}, which was answered, is ${keys.has(key) ? 'another' : 'lost'}`);
  return wrong;
};
