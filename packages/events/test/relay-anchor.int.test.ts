import type { DomainEvent } from '@skein/contracts';
import type { Database } from '@skein/postgres';
import { createMetrics } from '@skein/telemetry';
import { describe, expect, it } from 'vitest';
import { outbox, replay } from '../src/index.ts';
import { loginEvent } from '../src/testing.ts';
import { busOn, effects, fresh, spyBus, startConsumer, startRelay, waitMs } from './fixture.ts';

const append = (database: Database, events: readonly DomainEvent[]) =>
  database.transaction((tx) => outbox.append(tx, events));
const now = (at: number): DomainEvent => ({ ...loginEvent('u1', at), time: Date.now() });
const ids = (events: readonly DomainEvent[]) => events.map(({ id }) => id);
const by = { actor: 'operator', reason: 'a test' };

describe('a bus that has lost its store', () => {
  it('gets what not every consumer has handled, and nothing that all have', async () => {
    const { database } = await fresh();
    const { bus, published, allHandled, lose } = spyBus();
    await startRelay(database, bus);
    const handled = [now(1), now(2)];
    await append(database, handled);
    await expect.poll(() => published, { timeout: waitMs }).toEqual(ids(handled));
    allHandled();
    const noted = async () => (await database.query('select 1 from relay where handled is not null')).length;
    await expect.poll(noted, { timeout: waitMs }).toBe(1);
    const open = [now(3), now(4)];
    await append(database, open);
    await expect.poll(() => published, { timeout: waitMs }).toEqual(ids([...handled, ...open]));
    lose();
    await expect.poll(() => published, { timeout: waitMs }).toEqual(ids(open));
  });
});

describe('a bus that was started anew', () => {
  it('gets the last minutes again, and nothing older', async () => {
    const { database } = await fresh();
    const { bus, published, beginAnew } = spyBus();
    await startRelay(database, bus);
    const [old, recent] = [now(1), now(2)];
    await append(database, [old]);
    await database.query(`update outbox set written_at = now() - interval '10 minutes'`);
    await append(database, [recent]);
    await expect.poll(() => published, { timeout: waitMs }).toEqual(ids([old, recent]));
    beginAnew();
    await expect.poll(() => published, { timeout: waitMs }).toEqual(ids([old, recent, recent]));
  });
});

describe('a database that looks restored', () => {
  const refusal = async (
    database: Database,
    { bus, published }: Pick<ReturnType<typeof spyBus>, 'bus' | 'published'>,
  ): Promise<string> => {
    const told: string[] = [];
    const metrics = createMetrics();
    const loud = {
      error: (_: unknown, text: string) => told.push(text),
      warn: () => {},
      info: () => {},
      debug: () => {},
    };
    const count = published.length;
    await startRelay(database, bus, { instance: 'after', log: loud as never, metrics });
    await append(database, [now(9)]);
    await expect.poll(() => told.length, { timeout: waitMs }).toBeGreaterThan(0);
    expect(metrics.print()).toContain('skein_relay_refused{relay="auth"} 1');
    expect(published).toHaveLength(count);
    return told[0] ?? '';
  };
  const published = async (database: Database) => {
    const spy = spyBus();
    const relay = await startRelay(database, spy.bus);
    const events = [now(1), now(2)];
    await append(database, events);
    await expect.poll(() => spy.published, { timeout: waitMs }).toEqual(ids(events));
    await relay.stop();
    return spy;
  };

  it('publishes nothing on another server', async () => {
    const { database } = await fresh();
    const spy = await published(database);
    await database.query(`update relay set system_id = '1'`);
    expect(await refusal(database, spy)).toMatch(/was on the server 1 .*run "skein db reanchor"/);
  });

  it('publishes nothing when its transaction ids are ahead of the server', async () => {
    const { database } = await fresh();
    const spy = await published(database);
    await database.query(`update outbox set xid = '4000000000'::xid8 where seq = 2`);
    expect(await refusal(database, spy)).toMatch(/transaction 4000000000, .*run "skein db reanchor"/);
  });

  it('publishes nothing when the bus knows an event that the log does not', async () => {
    const { database } = await fresh();
    const spy = await published(database);
    await database.query('delete from outbox where seq = 2');
    expect(await refusal(database, spy)).toMatch(/the log does not.*run "skein db reanchor"/);
  });
});

it('an event on the bus that nobody of ours can have published proves nothing', async () => {
  const { database } = await fresh();
  const spy = spyBus();
  const first = await startRelay(database, spy.bus);
  await append(database, [now(1)]);
  await expect.poll(() => spy.published, { timeout: waitMs }).toHaveLength(1);
  await first.stop();
  await spy.bus.publish([{ ...now(2), source: 'somebody' }]);
  await startRelay(database, spy.bus, { instance: 'after' });
  await append(database, [now(3)]);
  await expect.poll(() => spy.published, { timeout: waitMs }).toHaveLength(3);
});

describe('a replay', () => {
  it('publishes again from a time on, and the effects stay single', async () => {
    const { database } = await fresh();
    const bus = await busOn(database);
    await startConsumer(database, bus);
    await startRelay(database, bus);
    const [before, lost, kept] = [now(1), now(2), now(3)];
    await append(database, [before]);
    await database.query(`update outbox set written_at = now() - interval '1 hour'`);
    await append(database, [lost, kept]);
    await expect.poll(() => effects(database), { timeout: waitMs }).toHaveLength(3);
    // As if the consumer had never seen two of them.
    await database.query('delete from inbox where event_id = any($1)', [[before.id, lost.id]]);
    await database.query('truncate effect');
    const at = { relay: 'auth', nowMs: Date.now() };
    await replay(database, { ...at, fromMs: Date.now() - 60_000 }, by);
    await expect.poll(() => effects(database), { timeout: waitMs }).toEqual([lost.id]);
    const after = now(4);
    await append(database, [after]);
    await expect.poll(() => effects(database), { timeout: waitMs }).toEqual([lost.id, after.id].sort());
    expect(await database.query('select verb, target, actor, reason from event_admin')).toEqual([
      { verb: 'replay', target: 'auth', ...by },
    ]);
  });

  it('refuses what consumers no longer remember, the future, and a relay that never ran', async () => {
    const { database } = await fresh();
    const nowMs = Date.now();
    const day = 86_400_000;
    await expect(replay(database, { relay: 'auth', fromMs: nowMs - 8 * day, nowMs }, by)).rejects.toThrow(
      /remember what they handled for 7 days/,
    );
    await expect(replay(database, { relay: 'auth', fromMs: nowMs + day, nowMs }, by)).rejects.toThrow(
      /has not come yet/,
    );
    await expect(replay(database, { relay: 'auth', fromMs: nowMs, nowMs }, by)).rejects.toMatchObject({
      code: 'not_found',
    });
  });
});

describe('a relay', () => {
  it('keeps back what the catalogue does not know, and goes on with what follows', async () => {
    const { database } = await fresh();
    const { bus, published } = spyBus();
    const leaking = { ...now(1), data: { ...now(1).data, email: 'ada@example.org' } };
    await database.query('insert into outbox (event_id, event) values ($1, $2)', [
      leaking.id,
      JSON.stringify(leaking),
    ]);
    const fine = now(2);
    await append(database, [fine]);
    await startRelay(database, bus);
    await expect.poll(() => published, { timeout: waitMs }).toEqual([fine.id]);
  });
});
