import type { DomainEvent } from '@skein/contracts';
import type { Database } from '@skein/postgres';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type LiveBus, noPeers, type OutboxSource, outbox } from '../src/index.ts';
import { relayRow } from '../src/relay-row.ts';
import { loginEvent } from '../src/testing.ts';
import { busOn, effects, fresh, spyBus, startConsumer, startRelay, waitMs } from './fixture.ts';

const append = (database: Database, events: readonly DomainEvent[]) =>
  database.transaction((tx) => outbox.append(tx, events));
const login = (at: number): DomainEvent => ({ ...loginEvent('u1', at), time: Date.now() });
const registration = (): DomainEvent => ({
  ...loginEvent('u1'),
  ...{ type: 'user.registered', time: Date.now() },
  data: { userId: 'u1', registeredAt: 1_700_000_000_000 },
});

/** As the release before had it: logins were no events yet. */
const before: OutboxSource = {
  ...outbox.source,
  types: ['user.registered'],
  read: async (...asked) =>
    (await outbox.source.read(...asked)).map((row) =>
      row.event?.type === 'user.login' ? { ...row, event: null } : row,
    ),
};

describe('replicas of two releases', () => {
  it('leave the publishing to the one that knows all events, and pass none over', async () => {
    const { database } = await fresh();
    const { bus, published } = spyBus();
    await startRelay(database, bus, { source: before, instance: 'old' });
    const first = registration();
    await append(database, [first]);
    await expect.poll(() => published, { timeout: waitMs }).toEqual([first.id]);
    await startRelay(database, bus, { instance: 'new' });
    const second = login(1);
    await append(database, [second]);
    await expect.poll(() => published, { timeout: waitMs }).toEqual([first.id, second.id]);
    const holders = await database.query<{ holder: string }>('select holder from relay');
    expect(holders).toEqual([{ holder: 'new' }]);
  });

  it('publish later what the old one passed over when it was alone again, and its effect is single', async () => {
    const { database } = await fresh();
    const bus = await busOn(database);
    await startConsumer(database, bus, { types: ['user.login', 'user.registered'] });
    const upgraded = await startRelay(database, bus, { instance: 'new' });
    const early = login(1);
    await append(database, [early]);
    await expect.poll(() => effects(database), { timeout: waitMs }).toEqual([early.id]);
    await upgraded.stop();
    const rolledBack = await startRelay(database, bus, { source: before, instance: 'old' });
    const [passedOver, known] = [login(2), registration()];
    await append(database, [passedOver, known]);
    await expect.poll(() => effects(database), { timeout: waitMs }).toEqual([early.id, known.id].sort());
    await rolledBack.stop();
    await startRelay(database, bus, { instance: 'newer' });
    const all = [early.id, passedOver.id, known.id].sort();
    await expect.poll(() => effects(database), { timeout: waitMs }).toEqual(all);
    const next = login(3);
    await append(database, [next]);
    await expect.poll(() => effects(database), { timeout: waitMs }).toEqual([...all, next.id].sort());
  });

  it('publish what was written by one that has not come to publish yet', async () => {
    const { database } = await fresh();
    const { bus, published } = spyBus();
    const old = await startRelay(database, bus, { source: before, instance: 'old' });
    await expect
      .poll(() => database.query(`select 1 from relay where passed_over ->> 'user.registered@1' is null`), {
        timeout: waitMs,
      })
      .toHaveLength(1);
    await relayRow(database, 'auth', 'new', ['user.login@1', 'user.registered@1']).announce();
    const [passedOver, known] = [login(1), registration()];
    await append(database, [passedOver, known]);
    await expect.poll(() => published, { timeout: waitMs }).toEqual([known.id]);
    await old.stop();
    await startRelay(database, bus, { instance: 'new' });
    await expect.poll(() => published, { timeout: waitMs }).toEqual([known.id, passedOver.id, known.id]);
  });
});

/** A live bus of one process. */
const liveBus = (): LiveBus => {
  const handlers = new Map<string, Set<(payload: Uint8Array) => void>>();
  return {
    ...noPeers(),
    peers: true,
    publish: (subject, payload) => {
      for (const handle of handlers.get(subject) ?? []) handle(payload);
    },
    subscribe: (subject, handle) => {
      const all = handlers.get(subject) ?? new Set();
      handlers.set(subject, all.add(handle));
      return () => all.delete(handle);
    },
  };
};

it('what a replica without the lease commits wakes the one that has it', async () => {
  const { database } = await fresh();
  const { bus, published } = spyBus();
  const live = liveBus();
  let looked = () => {};
  const look = () =>
    new Promise<void>((resolve) => {
      looked = resolve;
    });
  const source: OutboxSource = {
    ...outbox.source,
    read: async (...asked) => {
      const rows = await outbox.source.read(...asked);
      looked();
      return rows;
    },
  };
  await startRelay(database, bus, { live, instance: 'holder', idleMs: 60_000, source });
  const held = () => database.query(`select 1 from relay where holder = 'holder'`);
  await expect.poll(held, { timeout: waitMs }).toHaveLength(1);
  const other = await startRelay(database, bus, { live, instance: 'other' });
  // From now on no wait ends by itself: after one more look the holder sleeps until it is woken.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  await look();
  const event = login(1);
  await append(database, [event]);
  const woken = look();
  other.wake();
  await woken;
  vi.useRealTimers();
  other.wake();
  await expect.poll(() => published, { timeout: waitMs }).toEqual([event.id]);
});
