import { randomUUID } from 'node:crypto';
import type { DomainEvent } from '@skein/contracts';
import { type EventBus, relay } from '@skein/events';
import { type Database, openDatabase } from '@skein/postgres';
import { testDatabase } from '@skein/postgres/testing';
import { createLogger, createMetrics } from '@skein/telemetry';
import { describe, expect, it, onTestFinished } from 'vitest';
import { eventLogSource } from '../src/adapters/event-log-source.ts';
import { migrations } from '../src/adapters/schema.ts';

const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });

const open = async (): Promise<Database> => {
  const { url, drop } = await testDatabase();
  onTestFinished(drop);
  const database = openDatabase(
    { url, schema: 'session_sync', migrations, applicationName: 'test' },
    { log },
  );
  await database.run();
  onTestFinished(() => database.stop());
  return database;
};

interface Written {
  readonly space: string;
  readonly offset: number;
  /** Of the transaction that wrote it: the order of the log. */
  readonly xid: number;
  readonly timeMs?: number;
}

/** Writes a message into the log as if by the given transaction; its id. */
const write = async (database: Database, { space, offset, xid, timeMs = Date.now() }: Written) => {
  const id = randomUUID();
  const json = JSON.stringify({
    actor: { user: 'u1' },
    data: { messageId: `m${offset}`, conversationId: 'c1', text: 'a secret' },
  });
  await database.query(
    `insert into event (stream, "offset", xid, id, type, time_ms, json, correlation_id)
     values ($1, $2, $3::xid8, $4, 'message.created', $5, $6, 'c')`,
    [space, offset, String(xid), id, timeMs, json],
  );
  return id;
};

describe('the log as the source of domain events', () => {
  it('is published in the order of each space, also where an early transaction appended late', async () => {
    const database = await open();
    const [space, other] = [randomUUID(), randomUUID()];
    // The order of transactions is 1, 3, other, 2.
    for (const one of [
      { space, offset: 1, xid: 100 },
      { space, offset: 2, xid: 130 },
      { space, offset: 3, xid: 110 },
      { space: other, offset: 1, xid: 120 },
    ])
      await write(database, one);
    const published: DomainEvent[] = [];
    const bus: EventBus = {
      ...{ id: 'spy', run: async () => {}, stop: async () => {} },
      publish: async (events) => ({ mark: published.push(...events) }),
      subscribe: () => {
        throw new Error('nobody subscribes here');
      },
      store: async () => ({ id: 'store', boot: '' }),
      newest: async () => undefined,
      erase: async () => {},
      handled: async () => undefined,
    };
    const part = relay({
      ...{ database, bus, source: eventLogSource, name: 'session-sync', instance: 'one', log },
      metrics: createMetrics(),
    });
    await part.run();
    onTestFinished(() => part.stop());
    await expect.poll(() => published.length, { timeout: 20_000 }).toBe(4);
    const offsets = (of: string) =>
      published
        .filter(({ subject }) => subject === of)
        .map(({ data }) => (data as { offset: number }).offset);
    expect(offsets(space)).toEqual([1, 2, 3]);
    expect(offsets(other)).toEqual([1]);
    expect(JSON.stringify(published)).not.toContain('secret');
  });

  it('knows what it has, and how far it goes', async () => {
    const database = await open();
    expect(await eventLogSource.newest(database)).toBeUndefined();
    const space = randomUUID();
    const id = await write(database, { space, offset: 1, xid: 100, timeMs: 1_000 });
    await write(database, { space, offset: 2, xid: 120, timeMs: 2_000 });
    expect(await eventLogSource.newest(database)).toMatchObject({
      position: { era: 1, xid: '120' },
      timeMs: 2_000,
    });
    const [row] = await eventLogSource.read(database, { era: 0, xid: '0', seq: 0 }, 1);
    if (!row?.event) throw new Error('nothing was read');
    expect(row.event.id).toBe(id);
    expect(await eventLogSource.has(database, row.event)).toBe(true);
    // Another event at that place: a log that went on after a restore.
    expect(await eventLogSource.has(database, { ...row.event, id: randomUUID() })).toBe(false);
    await database.query('delete from event where stream = $1', [space]);
    expect(await eventLogSource.has(database, row.event)).toBe(true);
  });

  it('finds the place of a moment: right before the first event in its order that may be of it', async () => {
    const database = await open();
    const space = randomUUID();
    const hour = 3_600_000;
    await write(database, { space, offset: 1, xid: 100, timeMs: hour });
    await write(database, { space, offset: 2, xid: 130, timeMs: 3 * hour });
    // Orders as a number, not as a text.
    await write(database, { space, offset: 3, xid: 99, timeMs: 3 * hour });
    await write(database, { space, offset: 4, xid: 140, timeMs: 5 * hour });
    const newer = async (timeMs: number) => {
      const rows = await eventLogSource.read(database, await eventLogSource.before(database, timeMs), 10);
      return rows.map(({ place }) => place?.offset);
    };
    expect(await newer(0)).toEqual([3, 1, 2, 4]);
    expect(await newer(2 * hour)).toEqual([3, 1, 2, 4]);
    expect(await newer(4 * hour)).toEqual([4]);
    expect(await newer(9 * hour)).toEqual([]);
  });
});

describe('an invitation', () => {
  it('leaves by its id when it is to be mailed, and not when its maker passes the code on', async () => {
    const database = await open();
    const space = randomUUID();
    for (const [at, data] of [
      { invitation: 'i1', role: 'viewer' },
      { invitation: 'i2', addressed: true },
    ].entries())
      await database.query(
        `insert into event (stream, "offset", xid, id, type, time_ms, json, correlation_id)
         values ($1, $2, '100', $3, 'member.invited', 0, $4, 'c')`,
        [space, at + 1, randomUUID(), JSON.stringify({ actor: { user: 'u1' }, data })],
      );
    const rows = await eventLogSource.read(database, { era: 0, xid: '0', seq: 0 }, 10);
    expect(rows.map(({ event }) => event?.data)).toEqual([
      undefined,
      { space, offset: 2, invitationId: 'i2' },
    ]);
  });
});

describe('re-anchoring', () => {
  it('begins an era, in which all that was there can be read, and gives every space a new epoch', async () => {
    const database = await open();
    const spaces = [randomUUID(), randomUUID()];
    for (const space of spaces)
      await database.query(
        `insert into space (id, kind, title, epoch, created_by, created_at_ms) values ($1, 'team', 't', 'old', 'u', 0)`,
        [space],
      );
    // Of a server whose transactions were far ahead of this one.
    await write(database, { space: spaces[0] ?? '', offset: 1, xid: 4_000_000_000 });
    const all = () => eventLogSource.read(database, { era: 0, xid: '0', seq: 0 }, 10);
    expect(await all()).toEqual([]);
    expect(await database.query(`select reanchor('operator', 'a test') as era`)).toEqual([{ era: 2 }]);
    expect(await all()).toHaveLength(1);
    const epochs = await database.query<{ epoch: string }>('select distinct epoch from space');
    expect(epochs).toHaveLength(2);
    expect(epochs.map(({ epoch }) => epoch)).not.toContain('old');
    await database.query(
      `insert into event (stream, "offset", id, type, time_ms, json, correlation_id)
       values ($1, 2, $2, 'message.created', 0, '{}', 'c')`,
      [spaces[0], randomUUID()],
    );
    expect(await database.query('select era from event where "offset" = 2')).toEqual([{ era: 2 }]);
  });
});
