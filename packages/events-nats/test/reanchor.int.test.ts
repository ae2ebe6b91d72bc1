import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dumpPostgres, restorePostgres, startNats } from '@skein/components';
import type { DomainEvent } from '@skein/contracts';
import {
  consume,
  type EventBus,
  eventAdminSql,
  eventTablesSql,
  outbox,
  postgresBus,
  reanchorDatabase,
  relay,
  relayKindsSql,
} from '@skein/events';
import { loginEvent } from '@skein/events/testing';
import { adminTransaction, type Database, openDatabase } from '@skein/postgres';
import { testCluster, testDatabase } from '@skein/postgres/testing';
import { createLogger, createMetrics } from '@skein/telemetry';
import { describe, expect, it, onTestFinished } from 'vitest';
import { jetStreamBus, natsLink } from '../src/index.ts';

const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });
const metrics = createMetrics();
const waitMs = 60_000;

const open = async (url: string): Promise<Database> => {
  const database = openDatabase(
    {
      ...{ url, schema: 'restored_test', applicationName: 'test' },
      migrations: [
        { version: 1, name: 'events', sql: eventTablesSql },
        { version: 2, name: 'care of them', sql: eventAdminSql() },
        { version: 3, name: 'effects', sql: 'create table effect (event_id text);' },
        { version: 4, name: 'kinds', sql: relayKindsSql },
      ],
    },
    { log },
  );
  await database.run();
  onTestFinished(() => database.stop());
  return database;
};

/** Relay and consumer of one database; `errors` are what the relay says when it refuses. */
const serve = async (database: Database, bus: EventBus) => {
  const errors: string[] = [];
  const loud = { ...log, error: (_: unknown, text: string) => errors.push(text) } as unknown as typeof log;
  const shared = { database, bus, log, metrics };
  const parts = [
    relay({ ...shared, name: 'auth', instance: randomUUID(), log: loud, idleMs: 20 }),
    consume({
      ...shared,
      consumer: 'restored-test',
      types: ['user.login'],
      handle: async (event, tx) => {
        await tx.query('insert into effect values ($1)', [event.id]);
      },
    }),
  ];
  for (const part of parts) await part.run();
  const stop = async () => {
    for (const part of parts.splice(0)) await part.stop();
  };
  onTestFinished(stop);
  return { errors, stop };
};

const append = (database: Database): Promise<void> => {
  const event: DomainEvent = { ...loginEvent(randomUUID()), time: Date.now() };
  return database.transaction((tx) => outbox.append(tx, [event]));
};

const idsOf = async (database: Database, sql: string): Promise<string[]> =>
  (await database.query<{ id: string }>(sql)).map(({ id }) => id);
const effectsOf = (database: Database) => idsOf(database, 'select event_id as id from effect order by 1');

/** Appends one after the other until it is stopped. */
const underLoad = (database: Database) => {
  let stopping = false;
  const done = (async () => {
    while (!stopping) await append(database);
  })();
  return async () => {
    stopping = true;
    await done;
  };
};

const buses: Readonly<Record<string, () => Promise<(database: Database) => Promise<EventBus>>>> = {
  JetStream: async () => {
    const nats = await startNats();
    onTestFinished(() => nats.stop());
    const link = natsLink({ url: nats.url, name: 'test', log });
    await link.run();
    onTestFinished(() => link.stop());
    return async () => jetStreamBus({ link, log });
  },
  Postgres: async () => async (database) => {
    const bus = postgresBus({ database, instance: randomUUID(), log, idleMs: 20 });
    await bus.run();
    return bus;
  },
};

describe.each(Object.entries(buses))(
  'a database dumped under a live relay and restored elsewhere (%s)',
  (_, make) => {
    it('publishes nothing until it is re-anchored; then every event of its log has its effect, once', async () => {
      const busOn = await make();
      const { url, drop } = await testDatabase();
      onTestFinished(drop);
      const original = await open(url);
      const folder = await mkdtemp(join(tmpdir(), 'skein-dump-'));
      onTestFinished(() => rm(folder, { recursive: true }));
      const file = join(folder, 'dump.sql');

      const first = await serve(original, await busOn(original));
      const stopLoad = underLoad(original);
      const handled = async () => (await effectsOf(original)).length;
      await expect.poll(handled, { timeout: waitMs }).toBeGreaterThan(50);
      await dumpPostgres(url, file);
      const atDump = await handled();
      await expect.poll(handled, { timeout: waitMs }).toBeGreaterThan(atDump + 20);
      await stopLoad();
      await first.stop();
      await original.stop();

      // Another server: its transaction ids begin anew.
      const cluster = await testCluster();
      onTestFinished(() => cluster.stop());
      await restorePostgres(cluster.url, file);
      const restored = await open(cluster.url);
      await append(restored);
      const before = await effectsOf(restored);
      const refused = await serve(restored, await busOn(restored));
      await expect.poll(() => refused.errors[0], { timeout: waitMs }).toMatch(/run "skein db reanchor"/);
      await refused.stop();
      const order = { actor: 'operator', reason: 'restored from a dump' };
      const reanchor = () => adminTransaction(cluster.url, (tx) => reanchorDatabase(tx, order));
      // The lease was dumped as well.
      await expect
        .poll(() => reanchor().catch(String), { timeout: waitMs })
        .toEqual([{ schema: 'restored_test', era: 2 }]);

      const again = await serve(restored, await busOn(restored));
      for (let more = 0; more < 20; more += 1) await append(restored);
      const log = () => idsOf(restored, 'select event_id as id from outbox order by 1');
      const missed = async () => {
        const had = new Set(await effectsOf(restored));
        return (await log()).filter((id) => !had.has(id));
      };
      expect((await log()).length).toBeGreaterThan(before.length);
      await expect.poll(missed, { timeout: waitMs }).toEqual([]);
      const all = await effectsOf(restored);
      expect(all).toEqual([...new Set(all)]);
      expect(again.errors).toEqual([]);
      await again.stop();

      // And it stays so: a second start has nothing to complain of.
      const calm = await serve(restored, await busOn(restored));
      await append(restored);
      await expect.poll(missed, { timeout: waitMs }).toEqual([]);
      expect(calm.errors).toEqual([]);
    }, 180_000);
  },
);

describe('re-anchoring', () => {
  const order = { actor: 'operator', reason: 'a test' };

  it('is refused while a service runs, and then changes nothing', async () => {
    const { url, drop } = await testDatabase();
    onTestFinished(drop);
    const database = await open(url);
    const busOn = await buses['Postgres']?.();
    if (!busOn) throw new Error('no bus');
    await serve(database, await busOn(database));
    const held = () => database.query('select 1 from relay where lease_until > now()');
    await expect.poll(held, { timeout: waitMs }).toHaveLength(1);
    await expect(adminTransaction(url, (tx) => reanchorDatabase(tx, order))).rejects.toMatchObject({
      code: 'conflict',
      detail: expect.stringContaining('stop all services first'),
    });
    expect(await database.query('select era from log_era')).toEqual([{ era: 1 }]);
  });

  it('says so where there is nothing of ours', async () => {
    const { url, drop } = await testDatabase();
    onTestFinished(drop);
    await expect(adminTransaction(url, (tx) => reanchorDatabase(tx, order))).rejects.toMatchObject({
      code: 'not_found',
      detail: expect.stringContaining('check DATABASE_URL'),
    });
  });
});
