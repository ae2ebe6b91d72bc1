import { openDatabase } from '@skein/postgres';
import { createLogger } from '@skein/telemetry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type PastStateLimits, postgresPastStates } from '../src/adapters/postgres-past-states.ts';
import { migrations } from '../src/adapters/schema.ts';
import { personalSpaceId } from '../src/app/personal-space.ts';
import { keepsCheckpoint } from '../src/domain/checkpoints.ts';
import type { LoggedEvent } from '../src/domain/event.ts';
import { actingFor, startOnNewDatabase } from './harness.ts';
import { joined, recorderOf, type State } from './recorder.ts';

const signal = new AbortController().signal;
const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });
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

describe('a past state', () => {
  it('is what a recorder saw then, at every offset, with checkpoints on the way and without', async () => {
    const seen = await live('recorded');
    for (const state of seen) expect(await stateOf('recorded', String(state.offset))).toEqual(state);
    // Every offset in between as well: with checkpoints after each two events, twice, made and used.
    const space = personalSpaceId('recorded');
    const often = postgresPastStates(database, { every: 2 });
    const head = seen.at(-1)?.offset ?? 0;
    for (let offset = 0; offset <= head; offset += 1) {
      const state = await stateOf('recorded', String(offset));
      for (let round = 0; round < 2; round += 1) {
        const read = await often.read(space, state, signal);
        read.release();
        expect(joined(read, read.parts)).toEqual(state);
      }
    }
    const rows = await database.query('select 1 from state_checkpoint where space = $1', [space]);
    expect(rows).toHaveLength(Math.floor(head / 2));
    expect(await stateOf('recorded', '0')).toMatchObject({ documents: [], conversations: [] });
  }, 60_000);

  it('is found by its time', async () => {
    const { say } = writerFor('timed');
    /** A moment that has passed. */
    const moment = async (): Promise<string> => {
      const now = new Date();
      await expect.poll(() => Date.now(), { interval: 1 }).toBeGreaterThan(now.getTime());
      return now.toISOString();
    };
    const before = await moment();
    await say('one');
    const between = await stateOf('timed');
    const time = await moment();
    await say('two');
    expect(await stateOf('timed', time)).toEqual(between);
    expect(await stateOf('timed', time.replace('Z', '+00:00'))).toEqual(between);
    expect(await stateOf('timed', before)).toMatchObject({ offset: 0, documents: [], conversations: [] });
    expect((await stateOf('timed', '2999-01-01T00:00:00Z')).offset).toBe((await stateOf('timed')).offset);
    // The same between checkpoints.
    const space = personalSpaceId('timed');
    const often = postgresPastStates(database, { every: 1 });
    const read = await often.read(space, { epoch: between.epoch, offset: between.offset + 1 }, signal);
    read.release();
    expect(await often.offsetAt(space, Date.parse(time))).toBe(between.offset);
  });

  it('is for members, of the log there is, and asked for by an offset or a time', async () => {
    await writerFor('owner').say('mine');
    const head = (await stateOf('owner')).offset;
    await expect(stateOf('owner', String(head + 1))).rejects.toMatchObject({ code: 'position_lost' });
    for (const at of ['-1', 'yesterday', '2026-01-31', '2026-13-01T00:00:00Z', '1e3'])
      await expect(stateOf('owner', at)).rejects.toMatchObject({ code: 'invalid_request' });
    const foreign = sync.gateway.readSnapshot(
      { space: personalSpaceId('owner'), at: '1' },
      actingFor('stranger'),
    );
    await expect(foreign[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'not_found' });
  });

  it('has bounds: of its bytes, of its entries, and of how many are held', async () => {
    const seen = await live('bounded');
    const space = personalSpaceId('bounded');
    const { epoch, offset } = seen.at(-1) as State;
    const reading = (limits: PastStateLimits) => {
      const states = postgresPastStates(database, limits);
      return () => states.read(space, { epoch, offset }, signal);
    };
    await expect(reading({ stateBytes: 100 })()).rejects.toMatchObject({ code: 'too_large' });
    await expect(reading({ entries: 2 })()).rejects.toMatchObject({ code: 'too_large' });
    const one = reading({ atOnce: 1 });
    const held = await one();
    await expect(one()).rejects.toMatchObject({ code: 'overloaded', retryAfterMs: 500 });
    held.release();
    held.release();
    (await one()).release();
    await expect(Promise.all([one(), one()])).rejects.toMatchObject({ code: 'overloaded' });
  });

  it('gets its checkpoint when the log has passed it, before anybody asks', async () => {
    await live('grown');
    const space = personalSpaceId('grown');
    const states = postgresPastStates(database, { every: 5 });
    const events = (from: number, to: number): LoggedEvent[] =>
      Array.from({ length: to - from + 1 }, (_, n) => ({ offset: from + n, id: '', type: '', json: '' }));
    const made = async () => {
      await states.checkpoint(new AbortController().signal);
      const rows = await database.query<{ offset: number }>(
        'select "offset" from state_checkpoint where space = $1 order by 1',
        [space],
      );
      return rows.map(({ offset }) => offset);
    };
    states.grown(space, events(1, 4));
    expect(await made()).toEqual([]);
    states.grown(space, events(4, 6));
    expect(await made()).toEqual([5]);
    states.grown(space, events(6, 9));
    expect(await made()).toEqual([5]);
    states.grown(space, events(10, 10));
    expect(await made()).toEqual([5, 10]);
  });

  it('keeps ever fewer checkpoints the older they are, and needs no others', async () => {
    const seen = await live('thinned');
    const space = personalSpaceId('thinned');
    const head = seen.at(-1)?.offset ?? 0;
    const states = postgresPastStates(database, { every: 1 });
    const kept = async () => {
      const rows = await database.query<{ offset: number }>(
        'select "offset" from state_checkpoint where space = $1 order by 1',
        [space],
      );
      return rows.map(({ offset }) => offset);
    };
    // As the log grows, one after the other; and at once, out of a log that was there before.
    for (const grown of [head, head + 10, head + 100]) {
      await database.query(
        `insert into event (stream, "offset", id, type, time_ms, json, correlation_id)
         select $1, n, gen_random_uuid(), 'reaction.changed', 0, '{}', 'c'
         from generate_series((select max("offset") + 1 from event where stream = $1), $2::bigint) n`,
        [space, grown],
      );
      const { epoch } = seen[0] as State;
      (await states.read(space, { epoch, offset: grown }, signal)).release();
      expect(await kept()).toEqual(
        (await kept()).filter((offset) => offset <= grown && keepsCheckpoint(offset, grown)),
      );
    }
    for (const state of seen) {
      const read = await states.read(space, state, signal);
      read.release();
      expect(joined(read, read.parts)).toEqual(state);
    }
    expect((await kept()).length).toBeLessThan(16 + 8 * Math.log2((head + 100) / 16) + 1);
  }, 60_000);
});
