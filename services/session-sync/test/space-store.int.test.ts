import { type Database, openDatabase } from '@skein/postgres';
import { testDatabase } from '@skein/postgres/testing';
import { createLogger } from '@skein/telemetry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventLogSource } from '../src/adapters/event-log-source.ts';
import { systemIds } from '../src/adapters/ids.ts';
import { postgresConflicts } from '../src/adapters/postgres-conflicts.ts';
import { postgresSpaceMaker, postgresSpaceReads } from '../src/adapters/postgres-space-reads.ts';
import { postgresSpaceStore } from '../src/adapters/postgres-space-store.ts';
import { migrations } from '../src/adapters/schema.ts';
import { personalSpaceId } from '../src/app/personal-space.ts';
import { type SpacePlan, SpacesMoved } from '../src/app/ports.ts';
import type { ConflictRow } from '../src/domain/state.ts';

const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });
const open = async (url: string, poolSize = 8): Promise<Database> => {
  const database = openDatabase(
    { url, schema: 'session_sync', migrations, applicationName: 'test', poolSize },
    { log },
  );
  await database.run();
  return database;
};

let a: Database;
let b: Database;
let url: string;
beforeAll(async () => {
  ({ url } = await testDatabase());
  [a, b] = [await open(url), await open(url)];
});
afterAll(async () => {
  await a.stop();
  await b.stop();
});

const newSpace = async (owner: string) => {
  const id = personalSpaceId(owner);
  await postgresSpaceMaker(a).make({ id, kind: 'personal', title: '', epoch: 'e', owner, nowMs: 0 });
  return id;
};
const planAt = (space: string, offset: number, more: Partial<SpacePlan> = {}): SpacePlan => ({
  space,
  events: [
    {
      offset,
      id: systemIds.next(),
      type: 'test',
      json: '{}',
      timeMs: 0,
      correlationId: 'c',
      traceparent: undefined,
    },
  ],
  writes: {},
  expected: { documents: new Map(), seqs: new Map() },
  ...more,
});
const head = async (space: string) => (await postgresSpaceReads(a).positions([space]))[0]?.head;

describe('a write without an event', () => {
  it('is done once when it is sent again because nobody knows whether it arrived', async () => {
    const space = await newSpace('again');
    const conflict: ConflictRow = {
      ...{
        id: systemIds.next(),
        space,
        collection: 'task',
        documentId: 't',
        field: '',
        strategy: 'server_wins',
      },
      ...{
        resolver: '',
        state: 'settled',
        winner: 'server',
        serverValue: '1',
        clientValue: '2',
        clientHash: 'h',
      },
      ...{ baseVersion: 1, serverVersion: 1, version: 1, userId: 'again', device: 'phone', seq: null },
      ...{ createdAtMs: 1, choice: null, closedVersion: null, closedAtMs: null, closedBy: null },
    };
    const plan: SpacePlan = {
      ...{ space, events: [], writes: { conflicts: [conflict] } },
      expected: { documents: new Map(), seqs: new Map() },
    };
    await postgresSpaceStore(a).commit([plan]);
    await postgresSpaceStore(b).commit([plan]);
    const { items } = await postgresConflicts(a).list(space, 'settled', { limit: 10 });
    expect(items.map(({ id }) => id)).toEqual([conflict.id]);
  });
});

describe('reading spaces', () => {
  it('is planned once for each set of things that are asked for, however many they are', async () => {
    const single = await open(url, 1);
    const store = postgresSpaceStore(single);
    const spaces = await Promise.all(Array.from({ length: 12 }, (_, n) => newSpace(`planned-${n}`)));
    const needs = { members: ['u'], documents: [{ collection: 'task', id: 't' }] };
    for (let count = 1; count <= spaces.length; count += 1) {
      const states = await store.load(new Map(spaces.slice(0, count).map((space) => [space, [needs]])));
      expect(states.size).toBe(count);
    }
    const [plans] = await single.query<{ kept: number; anew: number }>(
      `select generic_plans::int as kept, custom_plans::int as anew from pg_prepared_statements
       where name like 'session\\_sync\\_load%'`,
    );
    await single.stop();
    // Postgres makes five to compare with.
    expect(plans).toEqual({ kept: spaces.length - 5, anew: 5 });
  });
});

describe('the store', () => {
  it('writes all spaces of a batch or none, and names those that moved', async () => {
    const store = postgresSpaceStore(a);
    const [one, two] = [await newSpace('one'), await newSpace('two')];
    await store.commit([planAt(one, 1), planAt(two, 1)]);
    const failed = store.commit([planAt(one, 2), planAt(two, 1)]);
    await expect(failed).rejects.toBeInstanceOf(SpacesMoved);
    await expect(failed).rejects.toMatchObject({ spaces: new Set([two]) });
    expect(await head(one)).toBe(1);
  });

  it('takes a conflict from a program of the version before, which does not say why', async () => {
    const space = await newSpace('upgrade');
    const before = {
      ...{ id: systemIds.next(), space, collection: 'task', documentId: 'd', field: '', strategy: 'manual' },
      ...{
        state: 'open',
        winner: 'server',
        serverValue: '1',
        clientValue: '2',
        baseVersion: 1,
        serverVersion: 3,
      },
      ...{ userId: 'upgrade', device: 'd', seq: 1, createdAtMs: 0 },
    } as unknown as ConflictRow;
    await postgresSpaceStore(a).commit([{ ...planAt(space, 1), writes: { conflicts: [before] } }]);
    const { items } = await postgresConflicts(a).list(space, 'open', { limit: 10 });
    expect(items).toMatchObject([{ id: before.id, resolver: '', clientHash: '', version: 3, choice: null }]);
  });

  it('reads the kept results that are asked for, and no more of their text than an answer holds', async () => {
    const store = postgresSpaceStore(a);
    const space = await newSpace('kept');
    const result = JSON.stringify('x'.repeat(200_000));
    const seqs = Array.from({ length: 20 }, (_, at) => at + 1);
    await store.commit([
      {
        ...planAt(space, 1),
        writes: {
          results: seqs.map((seq) => ({ space, userId: 'kept', device: 'd', seq, hash: `h${seq}`, result })),
        },
      },
    ]);
    const read = async (wanted: readonly number[]) => {
      const needs = [{ seq: { userId: 'kept', device: 'd', seqs: wanted } }];
      const state = (await store.load(new Map([[space, needs]]))).get(space);
      return [...(state?.results.values() ?? [])].sort((one, other) => one.seq - other.seq);
    };
    expect(await read([3])).toEqual([{ space, userId: 'kept', device: 'd', seq: 3, hash: 'h3', result }]);
    const all = await read(seqs);
    expect(all.map(({ hash }) => hash)).toEqual(seqs.map((seq) => `h${seq}`));
    expect(all.map((row) => row.result !== null)).toEqual(seqs.map((seq) => seq <= 5));
  });

  it('guards a seq and a document without any event', async () => {
    const store = postgresSpaceStore(a);
    const space = await newSpace('guarded');
    const seq = (expected: number, lastSeq: number): SpacePlan => ({
      ...planAt(space, 1),
      events: [],
      writes: { seqs: [{ space, userId: 'guarded', device: 'd', lastSeq }] },
      expected: { documents: new Map(), seqs: new Map([['guarded\u0000d', expected]]) },
    });
    await store.commit([seq(0, 3)]);
    await expect(store.commit([seq(0, 3)])).rejects.toBeInstanceOf(SpacesMoved);
    await store.commit([seq(3, 4)]);
    const document = (expected: number, version: number): SpacePlan => ({
      ...planAt(space, 1),
      events: [],
      writes: {
        documents: [
          {
            ...{
              space,
              collection: 'c',
              id: 'd',
              version,
              loggedVersion: version,
              value: '"\\u0000"',
              hash: '',
              offset: 0,
              fields: '{}',
            },
            ...{ deleted: false, updatedAtMs: 0, clientTimeMs: 0 },
          },
        ],
      },
      expected: { documents: new Map([['c\u0000d', expected]]), seqs: new Map() },
    });
    await store.commit([document(0, 1)]);
    await expect(store.commit([document(0, 2)])).rejects.toBeInstanceOf(SpacesMoved);
    await store.commit([document(1, 7)]);
    const states = await store.load(new Map([[space, [{ documents: [{ collection: 'c', id: 'd' }] }]]]));
    expect(states.get(space)?.documents.get('c\u0000d')).toMatchObject({ version: 7, value: '"\\u0000"' });
  });

  it('gives a space to one writer alone: nobody loses, whoever else writes', async () => {
    const stores = [postgresSpaceStore(a), postgresSpaceStore(b)];
    const space = await newSpace('contended');
    let lost = 0;
    await Promise.all([
      ...Array.from({ length: 20 }, (_, n) =>
        stores[n % 2]?.exclusively(new Map([[space, []]]), (states) => [
          planAt(space, (states.get(space)?.head ?? 0) + 1),
        ]),
      ),
      ...stores.map(async (store) => {
        for (let n = 0; n < 20; n += 1) {
          const at = (await head(space)) ?? 0;
          await store.commit([planAt(space, at + 1)]).catch((error: unknown) => {
            if (!(error instanceof SpacesMoved)) throw error;
            lost += 1;
          });
        }
      }),
    ]);
    expect(await head(space)).toBe(60 - lost);
  });

  it('does not deadlock when two replicas write the same spaces in any order', async () => {
    const spaces = await Promise.all(Array.from({ length: 6 }, (_, n) => newSpace(`crossed-${n}`)));
    for (let round = 0; round < 15; round += 1) {
      const outcomes = await Promise.allSettled(
        [a, b].map((database, side) =>
          postgresSpaceStore(database).commit(
            (side === 0 ? spaces : [...spaces].reverse()).map((space) => planAt(space, round + 1)),
          ),
        ),
      );
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      for (const outcome of outcomes)
        if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(SpacesMoved);
    }
  });
});

describe('the log read over all spaces', () => {
  it('is in the order of transaction ids as numbers, whatever their length', async () => {
    const { url } = await testDatabase();
    const database = await open(url);
    for (const xid of ['100', '9', '99'])
      await database.query(
        `insert into event (stream, "offset", xid, id, type, time_ms, json, correlation_id)
         values (gen_random_uuid(), 1, $1::text::xid8, gen_random_uuid(), 'test', 5, '{}', '')`,
        [xid],
      );
    const order: string[] = [];
    let position = await eventLogSource.before(database, 0);
    for (let n = 0; n < 3; n += 1) {
      const [row] = await eventLogSource.read(database, position, 1);
      position = row?.position ?? position;
      order.push(position.xid);
    }
    expect(order).toEqual(['9', '99', '100']);
    await database.stop();
  });
});
