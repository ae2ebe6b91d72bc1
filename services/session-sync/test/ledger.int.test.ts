import { healthRecordV1 } from '@skein/contracts';
import { openDatabase } from '@skein/postgres';
import { testDatabase } from '@skein/postgres/testing';
import { createLogger } from '@skein/telemetry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migrations } from '../src/adapters/schema.ts';
import { personalSpaceId } from '../src/app/personal-space.ts';
import { actingFor, type Running, startOnNewDatabase, startSync } from './harness.ts';
import { origin, set, writing } from './writing.ts';

const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });
const openOn = async (url: string, known = migrations) => {
  const database = openDatabase(
    { url, schema: 'session_sync', migrations: known, applicationName: 'test', poolSize: 2 },
    { log },
  );
  await database.run();
  return database;
};

let sync: Running & { readonly databaseUrl: string };
let database: Awaited<ReturnType<typeof openOn>>;
beforeAll(async () => {
  sync = await startOnNewDatabase();
  database = await openOn(sync.databaseUrl);
});
afterAll(async () => {
  await database?.stop();
  await sync?.stop();
});
const { mutate } = writing(() => sync);

const health = (seq: number, value: unknown, more: object = {}) =>
  set(seq, value, { collection: 'health_data', field: 'pulse', ...more });
const verify = (user: string, on: Running = sync) =>
  on.clientOf(healthRecordV1.HealthRecordServiceService).verifyLedger({ space: 'personal' }, actingFor(user));
const recordsOf = async (user: string) => {
  const rows = await database.query<{ record: string }>(
    'select record from ledger_entry where space = $1 order by position',
    [personalSpaceId(user)],
  );
  return rows.map(({ record }) => JSON.parse(record));
};

describe('the integrity ledger', () => {
  it('has an entry for every change of a health record, by whichever command, and for nothing else', async () => {
    await mutate('ann', 'a', [health(1, 60), set(2, 'a task')]);
    await mutate('ann', 'a', [health(3, 61, { baseVersion: 1 })]);
    // A conflict that the server wins changes nothing.
    const { results } = await mutate('ann', 'b', [health(1, 99, { hlc: '000000000001-0000-b' })]);
    expect(results[0]).toMatchObject({ outcome: 'conflict' });
    // To undo it does.
    await sync.gateway.undoConflict(
      { space: 'personal', conflictId: results[0].conflictId, origin: origin('b') },
      actingFor('ann'),
    );
    await mutate('ann', 'a', [{ ...health(4, 0, { baseVersion: 3 }), ops: [{ op: 'delete', path: [] }] }]);
    await sync.gateway.applyClassic(
      {
        origin: origin('old'),
        data: { id: 'c', type: 'health_data', dataJson: '{"pulse":1}', timestamp: 1, version: 1 },
        seenOffset: 0,
      },
      actingFor('ann'),
    );
    // The same content at a higher version is no change.
    await sync.gateway.applyClassic(
      {
        origin: origin('old'),
        data: { id: 'c', type: 'health_data', dataJson: '{"pulse":1}', timestamp: 1, version: 5 },
        seenOffset: 0,
      },
      actingFor('ann'),
    );
    expect((await recordsOf('ann')).map(({ kind, id, version }) => `${kind} ${id} ${version}`)).toEqual([
      'recorded a 1',
      'recorded a 2',
      'recorded a 3',
      'deleted a 4',
      'recorded c 1',
    ]);
    expect(await verify('ann')).toMatchObject({ entries: 5, erased: 0, faults: [] });
    expect((await verify('nobody')).entries).toBe(0);
  });

  it('keeps one chain when many write to a space at once through two replicas', async () => {
    const other = await startSync(sync.databaseUrl);
    const theirs = writing(() => other);
    await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        (n % 2 === 0 ? mutate : theirs.mutate)('busy', `d${n}`, [health(1, n, { id: `r${n}` })]),
      ),
    );
    expect(await verify('busy', other)).toMatchObject({ entries: 40, faults: [] });
    await other.stop();
  });

  it('tells what was changed behind its back, and where', async () => {
    const changes: readonly [string, string, object][] = [
      [
        'a record',
        `update ledger_entry set record = replace(record, '"version":1', '"version":7') where position = 2 and space = $1`,
        { position: 2, fault: 'record' },
      ],
      [
        'an entry, hashed again',
        `update ledger_entry set commitment = encode(sha256('x'), 'hex'), salt = null, record = null,
           hash = encode(sha256('y'), 'hex') where position = 2 and space = $1`,
        { position: 2, fault: 'chain' },
      ],
      [
        'an entry that is gone',
        'delete from ledger_entry where position = 2 and space = $1',
        { position: 3, fault: 'missing' },
      ],
      [
        'a document',
        `update document set value = '{"pulse":0}' where id = 'b' and space = $1`,
        { position: 2, fault: 'document' },
      ],
      [
        'a document and its hash',
        `update document set value = '{}', hash = encode(sha256('{}'), 'hex') where id = 'b' and space = $1`,
        { position: 2, fault: 'document' },
      ],
      [
        'a document that is gone',
        `delete from document where id = 'c' and space = $1`,
        { position: 3, fault: 'document' },
      ],
      [
        'a document nobody recorded',
        `insert into document select space, collection, 'stranger', version, value, hash, "offset", fields, deleted,
           updated_at_ms, client_time_ms, logged_version from document where id = 'c' and space = $1`,
        { position: 0, fault: 'document' },
      ],
    ];
    for (const [what, sql, fault] of changes) {
      const user = `victim of ${what}`;
      await mutate(user, 'd', [
        health(1, 1, { id: 'a' }),
        health(2, 2, { id: 'b' }),
        health(3, 3, { id: 'c' }),
      ]);
      expect((await verify(user)).faults).toEqual([]);
      await database.query(sql, [personalSpaceId(user)]);
      expect((await verify(user)).faults[0], what).toEqual(fault);
    }
  });

  it('is checked one at a time by a process, through pages of documents too large for one', async () => {
    const text = 'x'.repeat(100_000);
    for (let n = 0; n < 45; n += 1) await mutate('large', 'd', [health(n + 1, text, { id: `r${n}` })]);
    const reports = await Promise.allSettled([verify('large'), verify('large')]);
    expect(reports).toContainEqual(
      expect.objectContaining({ value: expect.objectContaining({ entries: 45, faults: [] }) }),
    );
    expect(reports).toContainEqual(
      expect.objectContaining({
        reason: expect.objectContaining({ code: 'overloaded', retryAfterMs: 500 }),
      }),
    );
    expect(await verify('large')).toMatchObject({ entries: 45, faults: [] });
  });

  it('still holds when the content of entries is erased', async () => {
    await mutate('gone', 'd', [health(1, 1, { id: 'a' }), health(2, 2, { id: 'b' })]);
    const before = await verify('gone');
    const space = [personalSpaceId('gone')];
    await database.query('update ledger_entry set salt = null, record = null where space = $1', space);
    await database.query('delete from document where space = $1', space);
    await mutate('gone', 'd', [health(3, 3, { id: 'c' })]);
    const after = await verify('gone');
    expect(after).toMatchObject({ entries: 3, erased: 2, faults: [] });
    expect(after.headHash).not.toBe(before.headHash);
  });

  it('begins with the records there were before it', async () => {
    const { url } = await testDatabase();
    const old = await openOn(url, migrations.slice(0, 7));
    const insert = (id: string, offset: number) =>
      old.query(
        `insert into document (space, collection, id, version, value, hash, "offset", fields, deleted, updated_at_ms,
           client_time_ms, logged_version) values ($1, 'health_data', $2, 1, '{}', encode(sha256('{}'), 'hex'), $3, '{}', false, 5, 5, 1)`,
        [personalSpaceId('early'), id, offset],
      );
    await insert('second', 2);
    await insert('first', 1);
    await old.stop();
    const upgraded = await startSync(url);
    expect(await verify('early', upgraded)).toMatchObject({ entries: 2, faults: [] });
    await writing(() => upgraded).mutate('early', 'd', [health(1, 1, { id: 'third' })]);
    expect(await verify('early', upgraded)).toMatchObject({ entries: 3, faults: [] });
    await upgraded.stop();
  });
});
