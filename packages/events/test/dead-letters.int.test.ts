import type { Database } from '@skein/postgres';
import { describe, expect, it } from 'vitest';
import { deadLetters } from '../src/index.ts';
import { loginEvent } from '../src/testing.ts';
import { busOn, effects, fresh, startConsumer, waitMs } from './fixture.ts';

const by = { actor: 'operator', reason: 'the bug is mended' };
const signal = new AbortController().signal;

const journal = (database: Database) =>
  database.query('select verb, target, outcome, actor, reason from event_admin order by id');

/** A consumer that cannot handle anything until it is mended, and one dead letter of it. */
const poisoned = async (count = 1) => {
  const { database } = await fresh();
  const bus = await busOn(database);
  let mended = false;
  const consumer = await startConsumer(database, bus, {
    handle: async (event, tx) => {
      await tx.query('insert into effect values ($1)', [event.id]);
      if (!mended) throw new Error('poison');
    },
  });
  const letters = deadLetters(database, [consumer]);
  const events = Array.from({ length: count }, (_, at) => loginEvent('u1', at));
  await bus.publish(events);
  await expect.poll(() => letters.list({ limit: 50 }), { timeout: waitMs }).toHaveLength(count);
  return {
    ...{ database, bus, letters, events, event: events[0] ?? loginEvent('u1') },
    mend: () => {
      mended = true;
    },
  };
};

describe('a dead letter', () => {
  it('is listed with what it was and why it died, in pages', async () => {
    const { letters, events } = await poisoned(3);
    const [first, second] = await letters.list({ limit: 2 });
    expect(first).toMatchObject({
      consumer: 'test',
      eventId: events[0]?.id,
      type: 'user.login',
      subject: 'u1',
      error: 'Error: poison',
      attempts: 2,
    });
    expect((await letters.list({ limit: 2, after: second })).map(({ eventId }) => eventId)).toEqual([
      events[2]?.id,
    ]);
  });

  it('has its effect once when it is retried after the fault is mended', async () => {
    const { database, bus, letters, event, mend } = await poisoned();
    expect(await letters.retry('test', event.id, by, signal)).toEqual({
      outcome: 'failed',
      error: 'Error: poison',
    });
    expect(await letters.list({ limit: 1 })).toMatchObject([{ attempts: 3 }]);
    expect(await effects(database)).toEqual([]);
    mend();
    expect(await letters.retry('test', event.id, by, signal)).toEqual({ outcome: 'done' });
    expect(await letters.list({ limit: 1 })).toEqual([]);
    // The bus delivers it again, and that changes nothing.
    await bus.publish([event, loginEvent('u1', 9)], { againBeforeMs: Date.now() });
    await expect.poll(() => effects(database), { timeout: waitMs }).toHaveLength(2);
    expect((await effects(database)).filter((id) => id === event.id)).toHaveLength(1);
    expect(await journal(database)).toEqual([
      { verb: 'retry', target: `test ${event.id}`, outcome: 'failed', ...by },
      { verb: 'retry', target: `test ${event.id}`, outcome: 'done', ...by },
    ]);
  });

  it('has no effect any more once it is dropped, not even when it is delivered again', async () => {
    const { database, bus, letters, event, mend } = await poisoned();
    await letters.drop('test', event.id, by);
    expect(await letters.list({ limit: 1 })).toEqual([]);
    mend();
    const after = loginEvent('u1', 9);
    await bus.publish([event, after], { againBeforeMs: Date.now() });
    await expect.poll(() => effects(database), { timeout: waitMs }).toEqual([after.id]);
    expect(await journal(database)).toMatchObject([{ verb: 'drop', outcome: 'dropped', ...by }]);
  });

  it('is retried by one of many who ask at once; the others are told that it is gone', async () => {
    const { database, letters, event, mend } = await poisoned();
    mend();
    const asked = await Promise.allSettled(
      Array.from({ length: 4 }, () => letters.retry('test', event.id, by, signal)),
    );
    expect(asked.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const one of asked)
      if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'not_found' });
    expect(await effects(database)).toEqual([event.id]);
  });

  it('that does not exist is not found', async () => {
    const { letters } = await poisoned();
    const absent = { code: 'not_found', detail: expect.stringContaining('retried or dropped already') };
    await expect(letters.retry('test', 'none', by, signal)).rejects.toMatchObject(absent);
    await expect(letters.retry('nobody', 'none', by, signal)).rejects.toMatchObject(absent);
    await expect(letters.drop('test', 'none', by)).rejects.toMatchObject(absent);
  });
});
