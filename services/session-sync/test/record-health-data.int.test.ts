import { type Database, groupCommit, openDatabase } from '@skein/postgres';
import { testDatabase } from '@skein/postgres/testing';
import { crashEverywhere } from '@skein/saga/testing';
import { createLogger } from '@skein/telemetry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { collectionPolicies } from '../src/adapters/collection-policies.ts';
import { systemIds } from '../src/adapters/ids.ts';
import { nativeSha256 } from '../src/adapters/native-sha256.ts';
import { postgresHealthRecords } from '../src/adapters/postgres-health-records.ts';
import { postgresSpaceMaker, postgresSpaceReads } from '../src/adapters/postgres-space-reads.ts';
import { postgresSpaceStore } from '../src/adapters/postgres-space-store.ts';
import { postgresSweeps } from '../src/adapters/postgres-sweeps.ts';
import { migrations } from '../src/adapters/schema.ts';
import { healthRecordUseCases, type RecordingParts, recordingSteps } from '../src/app/health-records.ts';
import { appendMessageUseCase } from '../src/app/messages.ts';
import { personalSpaceId, spaceNames } from '../src/app/personal-space.ts';
import type { Call } from '../src/app/ports.ts';
import { type RecordingInput, recordHealthData } from '../src/app/record-health-data.ts';
import { recording } from '../src/app/recording.ts';
import { createWriter } from '../src/app/writer.ts';

const clock = { now: () => Date.now() };
const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });

let database: Database;
let parts: RecordingParts;
let definition: ReturnType<typeof recordHealthData>;

beforeAll(async () => {
  const { url } = await testDatabase();
  database = openDatabase(
    { url, schema: 'session_sync', migrations, applicationName: 'test', poolSize: 8 },
    { log },
  );
  await database.run();
  const writer = recording(
    createWriter({
      store: postgresSpaceStore(database),
      batcher: groupCommit,
      ids: systemIds,
      clock,
      committed: () => {},
      wait: () => Promise.resolve(),
    }),
    { sha256: nativeSha256, salt: () => systemIds.code() },
  );
  const names = spaceNames(postgresSpaceMaker(database), systemIds, clock);
  const common = { writer, names, clock, ids: systemIds, sha256: nativeSha256 };
  parts = {
    ...common,
    reads: postgresSpaceReads(database),
    rulesOf: collectionPolicies().rulesOf,
    appendMessage: appendMessageUseCase(common, () => {}),
    records: postgresHealthRecords(
      database,
      // Asked for, and begun by the processes of the crash test.
      async () => ({ id: systemIds.next() }),
      () => {},
    ),
  };
  definition = recordHealthData(recordingSteps(parts, async () => {}));
});
afterAll(() => database.stop());

const call = (userId: string): Call => ({
  ...{
    userId,
    platform: 'web',
    signal: AbortSignal.timeout(60_000),
    correlationId: 'c',
    traceparent: undefined,
  },
});

/** A record that was asked for, without its saga: the crash test begins that. */
const asked = async (user: string): Promise<RecordingInput> => {
  const { recordId } = await healthRecordUseCases(parts).record(call(user), 'personal', {
    value: '{"pulse":72}',
    question: '',
  });
  return { record: recordId, space: personalSpaceId(user), user, platform: 'web' };
};

const count = async (sql: string, parameters: unknown[]): Promise<number> =>
  (await database.query(sql, parameters)).length;

/** Everything a recording has left, counted. */
const observe = async ({ record, space }: RecordingInput) => {
  const entries = await database.query<{ record: string }>(
    'select record from ledger_entry where space = $1 order by position',
    [space],
  );
  const said = entries.map(({ record: text }) => JSON.parse(text)).filter(({ id }) => id === record);
  const turns = await database.query<{ state: string; outcome: string | null }>(
    `select t.state, e.outcome from message m join turn t on t.id = m.turn_id left join turn_end e on e.turn_id = t.id
     where m.space = $1 and m.client_message_id = $2`,
    [space, `health-record-${record}`],
  );
  const documents = await database.query<{ deleted: boolean }>(
    `select deleted from document where space = $1 and collection = 'health_data' and id = $2`,
    [space, record],
  );
  return {
    pending: await count('select 1 from health_record where id = $1', [record]),
    documents: documents.map(({ deleted }) => (deleted ? 'deleted' : 'live')),
    entries: said.map(({ kind, reverses, position }) =>
      reverses === undefined ? kind : `${kind} ${position - reverses} before`,
    ),
    events: await count(
      `select 1 from event where stream = $1 and type like 'document.%' and json like '%' || $2 || '%'`,
      [space, record],
    ),
    turns: turns.map(({ state, outcome }) => outcome ?? state),
  };
};

describe('record-health-data', () => {
  it('ends done or taken back with every effect once, whichever write it is killed at', async () => {
    let person = 0;
    const report = await crashEverywhere({
      database,
      definition,
      input: () => {
        person += 1;
        return asked(`person-${person}`);
      },
      observe,
    });
    expect(report.done).toEqual({
      ...{ pending: 1, documents: ['live'], entries: ['recorded'], events: 1, turns: ['queued'] },
    });
    const nothing = { documents: [], entries: [], events: 0, turns: [] };
    const back = {
      ...{ pending: 0, documents: ['deleted'], entries: ['recorded', 'reversed 1 before'], events: 2 },
    };
    expect(report.compensated).toEqual({
      // Swept away with its saga.
      'refused at validateUser': { pending: 1, ...nothing },
      'given up at validateUser': { pending: 1, ...nothing },
      'refused at save': { pending: 1, ...nothing },
      'given up at save': { pending: 0, ...nothing },
      'refused at append': { pending: 0, ...nothing },
      'given up at append': { ...back, turns: [] },
      'refused at analyse': { ...back, turns: [] },
      'given up at analyse': { ...back, turns: ['cancelled'] },
    });
    expect(report.crashes).toBeGreaterThan(80);
    for (let n = 1; n <= person; n += 1) {
      const { faults } = await healthRecordUseCases(parts).verify(call(`person-${n}`), 'personal');
      expect(faults).toEqual([]);
    }
  }, 300_000);

  it('forgets what was asked for once its saga has ended, and not before', async () => {
    const live = await asked('waiting');
    const gone = await asked('finished');
    for (const [input, endedAt] of [
      [live, null],
      [gone, new Date()],
    ] as const)
      await database.query(
        `insert into saga (id, name, version, input, correlation_id, state, ended_at)
         select saga_id, 'record-health-data', 1, '{}', 'c', 'running', $2 from health_record where id = $1`,
        [input.record, endedAt],
      );
    await postgresSweeps(database).forget(Date.now(), []);
    expect(await parts.records.get(live.record)).toMatchObject({ value: '{"pulse":72}' });
    await expect(parts.records.get(gone.record)).rejects.toMatchObject({ code: 'not_found' });
  });
});
