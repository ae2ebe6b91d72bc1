import { openDatabase } from '@skein/postgres';
import { createLogger } from '@skein/telemetry';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { chunkEvents } from '../src/adapters/archive-schema.ts';
import { postgresArchive } from '../src/adapters/postgres-archive.ts';
import { postgresPastStates } from '../src/adapters/postgres-past-states.ts';
import { postgresSpaceReads } from '../src/adapters/postgres-space-reads.ts';
import { migrations } from '../src/adapters/schema.ts';
import { archiveUseCase } from '../src/app/archive.ts';
import { personalSpaceId } from '../src/app/personal-space.ts';
import { actingFor, openLive, startOnNewDatabase } from './harness.ts';
import { joined, recorderOf } from './recorder.ts';

const signal = new AbortController().signal;
const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });
const dayMs = 24 * 3_600_000;
const yearMs = 365 * dayMs;
let sync: Awaited<ReturnType<typeof startOnNewDatabase>>;
let database: ReturnType<typeof openDatabase>;
const { stateOf, writerFor, live } = recorderOf(() => sync);
beforeAll(async () => {
  sync = await startOnNewDatabase();
  database = openDatabase(
    { url: sync.databaseUrl, schema: 'session_sync', migrations, applicationName: 'test', poolSize: 4 },
    { log },
  );
  await database.run();
});
afterAll(async () => {
  await database.stop();
  await sync.stop();
});

interface Stored extends Record<string, unknown> {
  readonly offset: number;
  readonly id: string;
  readonly type: string;
  readonly json: string;
}

const spaceOf = personalSpaceId;
const hot = (user: string) =>
  database.query<Stored>('select "offset", id, type, json from event where stream = $1 order by "offset"', [
    spaceOf(user),
  ]);
const chunks = (user: string) =>
  database.query<{ first: number; last: number }>(
    'select first, last from event_archive where stream = $1 order by last',
    [spaceOf(user)],
  );
/** Once the relay has passed them, as they are a year later. */
const age = async (user: string) => {
  await vi.waitFor(
    async () => {
      const waiting = await database.query(
        `select 1 from event e, relay r where e.stream = $1 and (e.era, e.xid, e.global_seq) > (r.era, r.xid, r.seq)`,
        [spaceOf(user)],
      );
      expect(waiting).toEqual([]);
    },
    { timeout: 30_000, interval: 50 },
  );
  await database.query('update event set time_ms = time_ms - $2 where stream = $1', [spaceOf(user), yearMs]);
};
/** A round of archiving as the service does it, by default of what is older than 90 days. */
const round = async (afterDays = 90, nowMs = Date.now()): Promise<number> => {
  let moved = 0;
  const archive = postgresArchive(database, 'session-sync');
  const count = (more: number) => {
    moved += more;
  };
  await archiveUseCase({ archive, clock: { now: () => nowMs }, afterDays, moved: count })(signal);
  return moved;
};
/** Events of a log that is long, without the work of making them one by one. */
const lengthen = (user: string, by: number) =>
  database.query(
    `insert into event (stream, "offset", id, type, time_ms, json, correlation_id)
     select $1, head.at + n, gen_random_uuid(), 'reaction.changed', $3::bigint + n, '{"n":' || n || '}', 'c'
     from (select max("offset") as at from event where stream = $1) head, generate_series(1, $2::int) n`,
    [spaceOf(user), by, Date.now()],
  );
const followed = async (user: string, after: number, count: number): Promise<Stored[]> => {
  const { personal } = await sync.gateway
    .openSession({ device: { id: 'reader', platform: 'web', name: '' } }, actingFor(user))
    .then(({ spaces }) => ({ personal: spaces[0] }));
  const following = openLive(sync.gateway);
  following.follow(spaceOf(user), personal?.epoch, after);
  try {
    await vi.waitFor(() => expect(following.eventsOf(spaceOf(user)).length).toBeGreaterThanOrEqual(count), {
      timeout: 30_000,
    });
    return following
      .eventsOf(spaceOf(user))
      .map(({ offset, id, type, json }) => ({ offset, id, type, json }));
  } finally {
    following.close();
  }
};
const pageOf = async (user: string, after: number, limit: number): Promise<Stored[]> => {
  const asked = { space: 'personal', epoch: '', after, limit };
  const { events } = await sync.gateway.readEvents(asked, actingFor(user));
  return events.map(({ offset, id, type, json }) => ({ offset, id, type, json }));
};

describe('the archive', () => {
  it('serves events, live streams, past states and times as if nothing had moved', async () => {
    const seen = await live('old');
    const before = await hot('old');
    const head = before.length;
    await age('old');
    const times = await database.query<{ at: number }>(
      'select time_ms as at from event where stream = $1 order by "offset"',
      [spaceOf('old')],
    );
    expect(await round()).toBe(head - 1);
    expect(await hot('old')).toEqual(before.slice(-1));

    for (const after of [0, 1, head - 2, head - 1])
      for (const limit of [1, 2, 1_000])
        expect(await pageOf('old', after, limit)).toEqual(before.slice(after, after + limit));
    expect(await followed('old', 0, head)).toEqual(before);
    expect(await followed('old', head - 3, 3)).toEqual(before.slice(head - 3));
    for (const state of seen) expect(await stateOf('old', String(state.offset))).toEqual(state);
    const often = postgresPastStates(database, { every: 2 });
    for (const { epoch, offset } of seen) {
      const read = await often.read(spaceOf('old'), { epoch, offset }, signal);
      read.release();
      expect(joined(read, read.parts)).toEqual(seen.find((state) => state.offset === offset));
    }
    for (const [index, { at }] of times.entries()) {
      const newest = times.findLastIndex((one) => one.at <= at) + 1;
      expect(await often.offsetAt(spaceOf('old'), at), `event ${index + 1}`).toBe(newest);
    }
    expect(await often.offsetAt(spaceOf('old'), (times[0]?.at ?? 0) - 1)).toBe(0);

    // The log goes on, and a fork of what was said a year ago as well.
    const { messageId, offset } = await writerFor('old').say('a year later');
    expect(offset).toBe(head + 1);
    const ctx = actingFor('old');
    const said = await sync.gateway.listMessages(
      { space: 'personal', conversationId: '', limit: 100, cursor: '' },
      ctx,
    );
    expect(said.items.at(-1)?.id).toBe(messageId);
    const origin = { device: { id: 'laptop', platform: 'web', name: '' } };
    const first = said.items[0];
    const forked = await sync.gateway.forkConversation(
      {
        ...{ space: 'personal', title: '', reason: '', origin },
        ...{ conversationId: first?.conversationId ?? '', messageId: first?.id ?? '' },
      },
      ctx,
    );
    expect(forked.conversation).toMatchObject({ count: 1 });
    expect((await stateOf('old')).offset).toBe(head + 2);
  }, 60_000);

  it('takes rows of bounded size, whole prefixes of a log, once, however many replicas are at it', async () => {
    await writerFor('long').say('first');
    await lengthen('long', 2 * chunkEvents);
    const before = await hot('long');
    const head = before.length;
    await age('long');
    await Promise.all([round(), round(), round()]);
    expect(await hot('long')).toEqual(before.slice(-1));
    const held = await chunks('long');
    expect(held[0]?.first).toBe(1);
    for (const [index, { first, last }] of held.entries()) {
      expect(last - first + 1).toBeLessThanOrEqual(chunkEvents);
      expect(first).toBe((held[index - 1]?.last ?? 0) + 1);
    }
    const reads = postgresSpaceReads(database);
    for (const after of [0, 1, chunkEvents - 1, chunkEvents, chunkEvents + 1, head - 2])
      expect(await reads.events(spaceOf('long'), after, 700)).toEqual(before.slice(after, after + 700));
    // Little by little: a row with room is gone on with.
    for (let part = 0; part < 3; part += 1) {
      await lengthen('long', 5);
      await age('long');
      await round();
      expect(await hot('long')).toHaveLength(1);
    }
    expect(await chunks('long')).toHaveLength(held.length);
    expect((await reads.events(spaceOf('long'), 0, 5_000)).map(({ offset }) => offset)).toEqual(
      Array.from({ length: head + 15 }, (_, index) => index + 1),
    );
  }, 60_000);

  it('passes over spaces of which only the last event is not in it yet', async () => {
    for (const text of ['a', 'b']) await writerFor('quiet').say(text);
    await age('quiet');
    const archive = postgresArchive(database, 'session-sync');
    const all = async () => {
      let moved = 0;
      for (let done = false; !done; ) {
        const step = await archive.run(Date.now(), signal);
        moved += step.moved;
        ({ done } = step);
      }
      return moved;
    };
    await vi.waitFor(async () => expect(await all()).toBe(0), { timeout: 10_000 });
    expect(await hot('quiet')).toHaveLength(1);
    await database.transaction(async (tx) => {
      await tx.query(`select pg_advisory_xact_lock(hashtextextended('skein archive of the log', 0))`);
      // Whoever had something to move would give the round up here.
      expect(await archive.run(Date.now(), signal)).toEqual({ moved: 0, done: false });
      expect(await archive.run(Date.now(), signal)).toEqual({ moved: 0, done: true });
    });
  });

  it('leaves what is younger, what is not published and the last event, and does nothing when it is told so', async () => {
    for (const text of ['a', 'b', 'c']) await writerFor('young').say(text);
    await age('young');
    expect(await round(0)).toBe(0);
    const before = await hot('young');
    // The third is of today.
    await database.query('update event set time_ms = $2 where stream = $1 and "offset" >= 3', [
      spaceOf('young'),
      Date.now(),
    ]);
    // The second is not published.
    await database.query('update event set xid = $2 where stream = $1 and "offset" = 2', [
      spaceOf('young'),
      String(2 ** 40),
    ]);
    await round();
    expect(await hot('young')).toEqual(before.slice(1));
    await database.query(`update event set xid = '3' where stream = $1`, [spaceOf('young')]);
    await round();
    await round();
    expect(await hot('young')).toEqual(before.slice(2));
    await round(90, Date.now() + yearMs);
    expect(await hot('young')).toEqual(before.slice(-1));
  });

  it('keeps the places of what is in it: a write that is late by a year is refused', async () => {
    await writerFor('late').say('first');
    await writerFor('late').say('second');
    await age('late');
    await round();
    const none = Array.from({ length: 10 }, () => null);
    const write = (offset: number) =>
      database.query(
        `select commit_units($1::uuid[], $1::uuid[], array[$2::bigint], array[gen_random_uuid()], array['x'],
           array[0::bigint], array['{}'], array['c'], array[null::text],
           ${none.map(() => 'null').join(', ')})`,
        [[spaceOf('late')], offset],
      );
    await expect(write(1)).rejects.toMatchObject({ code: 'SK001' });
    expect(await pageOf('late', 0, 10)).toHaveLength((await pageOf('late', 1, 10)).length + 1);
  });
});
