import { AppError } from '@skein/contracts';
import type { Database } from '@skein/postgres';
import { createMetrics } from '@skein/telemetry';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  consume,
  type EventBus,
  inbox,
  type OutboxSource,
  originPosition,
  outbox,
  relay,
} from '../src/index.ts';
import { loginEvent, testEventBus } from '../src/testing.ts';
import { unsynced } from '../src/unsynced.ts';
import {
  busOn,
  effects,
  fresh,
  log,
  metrics,
  spyBus,
  startRelay as start,
  startConsumer,
  waitMs,
} from './fixture.ts';

testEventBus('Postgres', async () => {
  const { database } = await fresh();
  return { bus: await busOn(database, 'one'), replica: () => busOn(database, 'two') };
});

it('the Postgres bus delivers in the order of transaction ids as numbers', async () => {
  const { database } = await fresh();
  const bus = await busOn(database, 'one');
  const events = [loginEvent('u1', 1), loginEvent('u1', 2), loginEvent('u1', 3)];
  for (const [at, event] of events.entries()) {
    await database.query(
      'insert into skein_bus.event (xid, event_id, type, event) values ($1::xid8, $2, $3, $4)',
      [['9', '10', '100'][at], event.id, event.type, JSON.stringify(event)],
    );
  }
  const got: string[] = [];
  const part = bus.subscribe({
    consumer: 'c',
    types: ['user.login'],
    handle: async (event) => void got.push(event.id),
  });
  await part.run();
  onTestFinished(() => part.stop());
  await expect.poll(() => got, { timeout: waitMs }).toEqual(events.map((event) => event.id));
});

describe('relay', () => {
  it('publishes what was committed, in order, and nothing of a transaction that was rolled back', async () => {
    const { database } = await fresh();
    const { bus, published } = spyBus();
    await start(database, bus);
    const first = loginEvent('u1');
    const never = loginEvent('u1');
    const second = loginEvent('u1');
    await database.transaction((tx) => outbox.append(tx, [first]));
    await expect(
      database.transaction(async (tx) => {
        await outbox.append(tx, [never]);
        throw new Error('rolled back');
      }),
    ).rejects.toThrow('rolled back');
    await database.transaction((tx) => outbox.append(tx, [second]));
    await expect.poll(() => published, { timeout: waitMs }).toEqual([first.id, second.id]);
  });

  it('says how long it is behind while the bus is away, and that it is not when it is back', async () => {
    const { database } = await fresh();
    const { bus, published } = spyBus();
    let away = true;
    const shaky: EventBus = {
      ...bus,
      publish: (events, options) => {
        if (away) throw new AppError('unavailable');
        return bus.publish(events, options);
      },
    };
    const own = createMetrics();
    const part = relay({
      ...{ database, bus: shaky, name: 'auth', instance: 'one', log, metrics: own },
      idleMs: 20,
    });
    const lag = () => Number(/^skein_relay_lag_seconds (\S+)/m.exec(own.print())?.[1]);
    expect(lag()).toBe(0);
    await part.run();
    onTestFinished(() => part.stop());
    await database.transaction((tx) => outbox.append(tx, [loginEvent('u1')]));
    await expect.poll(lag, { timeout: waitMs }).toBeGreaterThan(1);
    away = false;
    await expect.poll(() => published.length, { timeout: waitMs }).toBe(1);
    await expect.poll(lag, { timeout: waitMs }).toBeLessThan(1);
  });

  it('has no hurry with what stays in the service', async () => {
    const { database } = await fresh();
    const { bus } = spyBus();
    const readAt: number[] = [];
    const source: OutboxSource = {
      ...outbox.source,
      // Somebody writes all the time, and nothing of it leaves.
      read: async (_, after) => {
        readAt.push(performance.now());
        return [{ position: { ...after, seq: after.seq + 1 }, event: null }];
      },
    };
    await start(database, bus, { source, idleMs: 60_000 });
    await expect.poll(() => readAt.length, { timeout: waitMs }).toBeGreaterThanOrEqual(5);
    const [first = 0, , , , fifth = 0] = readAt;
    // 20, 40, 80 and 160 ms lie between them.
    expect(fifth - first).toBeGreaterThan(250);
  });

  it('does not pass over an event whose transaction commits late', async () => {
    const { database } = await fresh();
    const { bus, published } = spyBus();
    await start(database, bus);
    const early = loginEvent('u1');
    const late = loginEvent('u1');
    let commit = () => {};
    const held = new Promise<void>((resolve) => {
      commit = resolve;
    });
    let written = () => {};
    const hasWritten = new Promise<void>((resolve) => {
      written = resolve;
    });
    const slow = database.transaction(async (tx) => {
      await outbox.append(tx, [late]);
      written();
      await held;
    });
    await hasWritten;
    await database.transaction((tx) => outbox.append(tx, [early]));
    commit();
    await slow;
    await expect.poll(() => new Set(published), { timeout: waitMs }).toEqual(new Set([late.id, early.id]));
  });

  it('publishes everything again when the bus has lost its store', async () => {
    const { database } = await fresh();
    const { bus, published, lose } = spyBus();
    await start(database, bus);
    const events = [loginEvent('u1'), loginEvent('u2')];
    await database.transaction((tx) => outbox.append(tx, events));
    await expect.poll(() => published.length, { timeout: waitMs }).toBe(2);
    lose();
    await expect.poll(() => published, { timeout: waitMs }).toEqual(events.map((event) => event.id));
  });

  it('has one active replica, and the next one goes on where the first stopped', async () => {
    const { database } = await fresh();
    const { bus, published } = spyBus();
    const first = await start(database, bus);
    await start(database, bus, { instance: 'two' });
    const before = loginEvent('u1');
    await database.transaction((tx) => outbox.append(tx, [before]));
    await expect.poll(() => published, { timeout: waitMs }).toEqual([before.id]);
    await first.stop();
    const after = loginEvent('u1');
    await database.transaction((tx) => outbox.append(tx, [after]));
    await expect.poll(() => published, { timeout: waitMs }).toEqual([before.id, after.id]);
  });

  it('reads in the order of transaction ids as numbers, also where they gain a digit', async () => {
    const { database } = await fresh();
    const events = [loginEvent('u1'), loginEvent('u1'), loginEvent('u1')];
    const xids = ['9', '10', '100'];
    for (const [at, event] of events.entries()) {
      await database.query('insert into outbox (xid, event_id, event) values ($1::xid8, $2, $3)', [
        xids[at],
        event.id,
        JSON.stringify(event),
      ]);
    }
    const rows = await outbox.source.read(database, originPosition, 10);
    expect(rows.map((row) => row.position.xid)).toEqual(xids);
    expect(await outbox.source.before(database, 0)).toMatchObject({ xid: '9' });
  });

  it('refuses fields that are not in the catalogue', async () => {
    const { database } = await fresh();
    const event = loginEvent('u1');
    const leaking = { ...event, data: { ...event.data, email: 'a@b.c' } };
    await expect(database.transaction((tx) => outbox.append(tx, [leaking]))).rejects.toThrow(/email/);
  });
});

describe('commits that do not wait for the disk', () => {
  it('are those of the bus alone: the next one on the same connection waits again', async () => {
    const { database } = await fresh();
    const bus = await busOn(database, 'one');
    const inside = await database.query<{ off: string }>(`select ${unsynced} as off`);
    expect(inside).toEqual([{ off: 'off' }]);
    await bus.publish([loginEvent('u1')]);
    const after = await Promise.all(
      Array.from({ length: 4 }, () =>
        database.query<{ now: string }>(`select current_setting('synchronous_commit') as now`),
      ),
    );
    expect(after.flat()).toEqual(Array.from({ length: 4 }, () => ({ now: 'on' })));
  });
});

describe('consume', () => {
  const table = 'create table effect (event_id text)';
  it('makes the effect once although the event is delivered twice', async () => {
    const { database } = await fresh();
    await database.query(table);
    const seen = inbox(database, 'test');
    const event = loginEvent('u1');
    const work = (tx: { query: Database['query'] }) =>
      tx.query('insert into effect values ($1)', [event.id]).then(() => {});
    expect(await seen.once(event, work)).toBe('done');
    expect(await seen.once(event, work)).toBe('duplicate');
    expect(await effects(database)).toEqual([event.id]);
  });

  it('forgets the mark when the effect fails, so that the next delivery does it', async () => {
    const { database } = await fresh();
    await database.query(table);
    const bus = await busOn(database, 'one');
    let failures = 1;
    const event = loginEvent('u1');
    const part = consume({
      bus,
      database,
      log,
      metrics,
      consumer: 'test',
      types: ['user.login'],
      backoffMs: [10],
      handle: async (got, tx) => {
        await tx.query('insert into effect values ($1)', [got.id]);
        if (failures-- > 0) throw new Error('the first time it fails');
      },
    });
    await part.run();
    onTestFinished(() => part.stop());
    await bus.publish([event]);
    await expect.poll(() => effects(database), { timeout: waitMs }).toEqual([event.id]);
  });

  it('neither handles nor notes an event that can have no effect, and goes on', async () => {
    const { database } = await fresh();
    const bus = await busOn(database, 'one');
    const [idle, fine] = [loginEvent('u1'), loginEvent('u1', 2)];
    await startConsumer(database, bus, { wants: ({ id }) => id !== idle.id });
    await bus.publish([idle, fine]);
    await expect.poll(() => effects(database), { timeout: waitMs }).toEqual([fine.id]);
    expect(await database.query('select event_id from inbox')).toEqual([{ event_id: fine.id }]);
  });

  it('does not bury what a later delivery can mend', async () => {
    const { database } = await fresh();
    const own = createMetrics();
    await database.query(table);
    const bus = await busOn(database, 'one');
    let failures = 4;
    const event = loginEvent('u1');
    const part = consume({
      bus,
      database,
      log,
      metrics: own,
      consumer: 'test',
      types: ['user.login'],
      backoffMs: [10],
      maxDeliver: 2,
      handle: async (got, tx) => {
        if (failures-- > 0) throw new AppError('unavailable');
        await tx.query('insert into effect values ($1)', [got.id]);
      },
    });
    await part.run();
    onTestFinished(() => part.stop());
    await bus.publish([event]);
    await expect.poll(() => effects(database), { timeout: waitMs }).toEqual([event.id]);
    await expect.poll(() => own.print(), { timeout: waitMs }).toContain('consumer="test",outcome="done"} 1');
    expect(own.print()).toContain('skein_consumer_events_total{consumer="test",outcome="again"} 4');
    expect(own.print()).toContain('skein_consumer_delay_seconds_count{consumer="test"} 1');
    expect(await database.query('select 1 from dead_letter')).toEqual([]);
  });

  it('buries an event that keeps failing and goes on with the next', async () => {
    const { database } = await fresh();
    await database.query(table);
    const bus = await busOn(database, 'one');
    const poison = loginEvent('u1');
    const fine = loginEvent('u1', 2);
    const part = consume({
      bus,
      database,
      log,
      metrics,
      consumer: 'test',
      types: ['user.login'],
      backoffMs: [10],
      maxDeliver: 2,
      handle: async (got, tx) => {
        if (got.id === poison.id) throw new Error('poison');
        await tx.query('insert into effect values ($1)', [got.id]);
      },
    });
    await part.run();
    onTestFinished(() => part.stop());
    await bus.publish([poison, fine]);
    await expect.poll(() => effects(database), { timeout: waitMs }).toEqual([fine.id]);
    const dead = await database.query<{ event_id: string; error: string; attempts: number }>(
      'select event_id, error, attempts from dead_letter',
    );
    expect(dead).toEqual([{ event_id: poison.id, error: 'Error: poison', attempts: 2 }]);
  });
});
