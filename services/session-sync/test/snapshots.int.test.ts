import { type Database, openDatabase } from '@skein/postgres';
import { testDatabase } from '@skein/postgres/testing';
import { createLogger } from '@skein/telemetry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { postgresPastStates } from '../src/adapters/postgres-past-states.ts';
import { postgresSnapshots } from '../src/adapters/postgres-snapshots.ts';
import { postgresSpaceMaker } from '../src/adapters/postgres-space-reads.ts';
import { postgresSpaceStore } from '../src/adapters/postgres-space-store.ts';
import { migrations } from '../src/adapters/schema.ts';
import { personalSpaceId } from '../src/app/personal-space.ts';
import type { Snapshots, SpaceView } from '../src/app/ports.ts';
import { readSnapshot } from '../src/app/read-snapshot.ts';
import type { DocumentRow } from '../src/domain/state.ts';

const signal = new AbortController().signal;
let database: Database;
beforeAll(async () => {
  const { url } = await testDatabase();
  database = openDatabase(
    { url, schema: 'session_sync', migrations, applicationName: 'test', poolSize: 8 },
    { log: createLogger({ service: 'test', instance: 'test', level: 'silent' }) },
  );
  await database.run();
});
afterAll(() => database.stop());

/** A space with ten documents of 1,000 bytes. */
const newSpace = async (owner: string) => {
  const space = personalSpaceId(owner);
  await postgresSpaceMaker(database).make({
    ...{ id: space, kind: 'personal', title: '', epoch: 'e', owner, nowMs: 0 },
  });
  const documents = Array.from(
    { length: 10 },
    (_, n): DocumentRow => ({
      ...{ space, collection: 'c', id: `d${n}`, version: 1, loggedVersion: 1, hash: '', offset: 0 },
      ...{ value: JSON.stringify('x'.repeat(998)), fields: '{}', deleted: false },
      ...{ updatedAtMs: 0, clientTimeMs: 0 },
    }),
  );
  await postgresSpaceStore(database).commit([
    { space, events: [], writes: { documents }, expected: { documents: new Map(), seqs: new Map() } },
  ]);
  return space;
};

describe('snapshots', () => {
  it('refuse a space that is too large before they read its documents', async () => {
    const space = await newSpace('large');
    const read: string[] = [];
    const watched: Database = {
      ...database,
      transaction: (work, options) =>
        database.transaction(
          (tx) =>
            work({
              query: (sql, parameters, more) => {
                read.push(typeof sql === 'string' ? sql : sql.text);
                return tx.query(sql, parameters, more);
              },
            }),
          options,
        ),
    };
    const snapshots = postgresSnapshots(watched, { snapshotBytes: 10_000 });
    await expect(snapshots.read(space, signal)).rejects.toMatchObject({ code: 'too_large' });
    // The position, behind the lock that keeps a rebuilt table from coming in between.
    expect(read.filter((sql) => !sql.startsWith('lock table'))).toHaveLength(1);
  });

  it('are counted until they are let go: together they are never more than the bound', async () => {
    const space = await newSpace('held');
    const snapshots = postgresSnapshots(database, { heldBytes: 30_000 });
    const held = [await snapshots.read(space, signal), await snapshots.read(space, signal)];
    await expect(snapshots.read(space, signal)).rejects.toMatchObject({
      ...{ code: 'overloaded', retryAfterMs: 500 },
    });
    held[0]?.release();
    // Twice is once.
    held[0]?.release();
    await snapshots.read(space, signal);
    await expect(snapshots.read(space, signal)).rejects.toMatchObject({ code: 'overloaded' });
  });

  it('are let go when the reader has the last part, and when it leaves before', async () => {
    let held = 0;
    const snapshots: Snapshots = {
      read: async () => {
        held += 1;
        const release = () => {
          held -= 1;
        };
        return { epoch: 'e', offset: 1, parts: ['{}', '{}'], release };
      },
    };
    const view: SpaceView = {
      ...{ id: 's', kind: 'team', title: '', role: 'viewer', epoch: 'e', head: 1, lastSeq: 0, floor: 1 },
    };
    const read = readSnapshot({
      ...{
        snapshots,
        pastStates: postgresPastStates(database),
        names: { resolve: async () => 's' },
        reads: { spaceOf: async () => view },
      },
    });
    const call = { userId: 'ann', platform: 'web', signal, correlationId: 'c', traceparent: undefined };
    for await (const { part } of read(call, 's')) expect([part, held]).toEqual([part, 1]);
    expect(held).toBe(0);
    for await (const _ of read(call, 's')) break;
    expect(held).toBe(0);
  });
});
