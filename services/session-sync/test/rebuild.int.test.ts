import { erasureV1 } from '@skein/contracts';
import { openDatabase } from '@skein/postgres';
import { createLogger } from '@skein/telemetry';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { systemIds } from '../src/adapters/ids.ts';
import { nativeSha256 } from '../src/adapters/native-sha256.ts';
import { postgresErasures } from '../src/adapters/postgres-erasures.ts';
import { postgresRebuild } from '../src/adapters/postgres-rebuild.ts';
import { migrations } from '../src/adapters/schema.ts';
import { personalSpaceId } from '../src/app/personal-space.ts';
import { actingFor, admit, asService, messageOf, startOnNewDatabase } from './harness.ts';
import { dump, structure } from './read-model-dump.ts';
import { recorderOf } from './recorder.ts';

const signal = new AbortController().signal;
const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });
/** So small that every space takes several steps. */
const small = { spaces: 2, events: 7, bytes: 3_000, rest: 50 };
let sync: Awaited<ReturnType<typeof startOnNewDatabase>>;
let database: ReturnType<typeof openDatabase>;
const { stateOf, writerFor, live } = recorderOf(() => sync);
const open = (applicationName: string) =>
  openDatabase(
    { url: sync.databaseUrl, schema: 'session_sync', migrations, applicationName, poolSize: 4 },
    { log },
  );
beforeAll(async () => {
  // What the service does by itself must not come in between: it is here done step by step.
  sync = await startOnNewDatabase({}, { timers: { after: () => () => {} } });
  database = open('test');
  await database.run();
  for (const user of ['ann', 'bob', 'cy']) await live(user);
  await team();
}, 60_000);
afterAll(async () => {
  await database.stop();
  await sync.stop();
});

/** A space with members who come, change and go. */
const team = async (): Promise<void> => {
  const ctx = actingFor('ann');
  const { space } = await sync.gateway.createSpace({ title: 'Team', idempotencyKey: '' }, ctx);
  const id = space?.id ?? '';
  for (const [userId, role] of [
    ['bob', 'editor'],
    ['cy', 'viewer'],
    ['bob', 'owner'],
  ] as const)
    await admit(sync, 'ann', { space: id, userId, role });
  await sync.gateway.removeMember({ space: id, userId: 'cy' }, ctx);
  await sync.gateway.appendMessage(messageOf('to all', { space: id, attachmentsJson: '[ {"a":1.0} ]' }), ctx);
};

const order = () =>
  database.query(`insert into read_model_rebuild (actor, reason) values ('op', 'because') returning id`);
const newest = async () => {
  const [row] = await database.query<{ phase: string; differences: object; spaces: number; events: number }>(
    'select phase, differences, spaces, events from read_model_rebuild order by id desc limit 1',
  );
  return row;
};
/** Until it is through, however often others are in the way. */
const rebuild = async (limits = {}): Promise<void> => {
  await vi.waitFor(
    async () => {
      await postgresRebuild(database, log, limits).run(signal);
      expect((await newest())?.phase).toBe('switched');
    },
    { timeout: 60_000, interval: 20 },
  );
};
describe('a rebuild of the read models', () => {
  it('gives the same rows and the same tables, in steps of any size', async () => {
    const before = await dump(database);
    const shape = await structure(database);
    await order();
    await rebuild(small);
    expect(await newest()).toMatchObject({ phase: 'switched', differences: {} });
    expect(await dump(database)).toEqual(before);
    expect(await structure(database)).toEqual(shape);
    await order();
    await rebuild();
    expect(await newest()).toMatchObject({ differences: {}, spaces: 4 });
    expect(await dump(database)).toEqual(before);
    // Nothing to do, nothing done.
    await postgresRebuild(database, log).run(signal);
    expect(await structure(database)).toEqual(shape);
  }, 60_000);

  it('equals the live rows while people go on writing, and nobody reads less than there is', async () => {
    await order();
    let writing = true;
    const users = ['ann', 'bob', 'cy', 'new-1', 'new-2'];
    const writers = users.map(async (user) => {
      const { say, mutate } = writerFor(user);
      for (let n = 0; writing; n += 1) {
        await say(`${user} ${n}`);
        await mutate(`w${n}`, 0, [{ op: 'set', path: [], value: { n } }], { device: `desk-${user}` });
      }
    });
    const reader = (async () => {
      while (writing) {
        const now = await stateOf('ann');
        expect(await stateOf('ann', String(now.offset))).toEqual(now);
      }
    })();
    try {
      // A step does more than people write meanwhile, or it would never end.
      await rebuild({ spaces: 1, events: 400, bytes: 500_000, rest: 400 });
    } finally {
      writing = false;
    }
    await Promise.all([...writers, reader]);
    expect(await newest()).toMatchObject({ phase: 'switched', differences: {} });
    const after = await dump(database);
    await order();
    await rebuild();
    expect(await newest()).toMatchObject({ differences: {} });
    expect(await dump(database)).toEqual(after);
  }, 90_000);

  it('heals what was changed by hand, and says how much', async () => {
    const before = await dump(database);
    await database.query(`update document set value = '{"forged":true}' where id = 'a'`);
    await database.query(
      `update conversation set count = count + 1, title = 'forged' where title = 'Renamed'`,
    );
    await database.query(`delete from message where text = 'hello'`);
    await database.query(
      `insert into member (space, user_id, role, joined_at_ms) values ($1, 'mallory', 'owner', 0)`,
      [personalSpaceId('ann')],
    );
    await database.query(`update turn set state = 'queued' where state = 'ended'`);
    await order();
    await rebuild(small);
    expect((await newest())?.differences).toEqual({
      document: 3,
      conversation: 3,
      message: 3,
      member: 1,
      turn: 6,
    });
    expect(await dump(database)).toEqual(before);
  }, 60_000);

  it('goes on where it was, whenever the process dies', async () => {
    const before = await dump(database);
    await order();
    let deaths = 0;
    while ((await newest())?.phase !== 'switched') {
      const doomed = open('doomed');
      await doomed.run();
      // Some steps, and one that is done but for its commit.
      let left = 1 + (deaths % 3);
      const transaction: typeof doomed.transaction = (work, options) =>
        doomed.transaction(async (tx) => {
          const done = await work(tx);
          if (left === 0) await tx.query('select pg_terminate_backend(pg_backend_pid())');
          left -= 1;
          return done;
        }, options);
      await postgresRebuild({ ...doomed, transaction }, log, small)
        .run(signal)
        .catch(() => {
          deaths += 1;
        });
      await doomed.stop();
    }
    expect(deaths).toBeGreaterThan(0);
    expect(await newest()).toMatchObject({ differences: {} });
    expect(await dump(database)).toEqual(before);
  }, 60_000);

  it('is one at a time', async () => {
    await order();
    await expect(order()).rejects.toMatchObject({ code: '23505' });
    await Promise.all([rebuild(small), rebuild(small)]);
    expect(await newest()).toMatchObject({ phase: 'switched', differences: {} });
  }, 60_000);

  it('builds a space again whose past is changed meanwhile', async () => {
    const space = personalSpaceId('bob');
    await order();
    const stop = new AbortController();
    const steps = postgresRebuild(database, log, { ...small, rest: 0 });
    // As far as it comes without a switch: nothing is below a rest of nothing.
    const running = steps.run(stop.signal);
    await vi.waitFor(async () => expect((await newest())?.phase).toBe('following'), { timeout: 30_000 });
    stop.abort();
    await running.catch(() => {});
    await database.query(
      `update event set json = replace(json, 'hello', 'erased') where stream = $1 and type = 'message.created'`,
      [space],
    );
    await database.query(`update space set epoch = 'another' where id = $1`, [space]);
    await rebuild(small);
    const rows = await database.query<{ text: string }>(
      `select text from message where space = $1 and text in ('hello', 'erased')`,
      [space],
    );
    expect(rows).toEqual([{ text: 'erased' }]);
  }, 60_000);

  it('builds a space again whose past is changed between two parts of it', async () => {
    const space = personalSpaceId('ann');
    await order();
    const steps = postgresRebuild(database, log, { spaces: 1, events: 3, rest: 50 });
    const part = async () => {
      const [row] = await database.query<{ offset: number }>(
        'select "offset" from read_model_checkpoint where space = $1',
        [space],
      );
      return row?.offset ?? 0;
    };
    const oneStep = async () => {
      const stop = new AbortController();
      const running = steps.run(stop.signal);
      stop.abort();
      await running.catch(() => {});
    };
    await oneStep();
    // Until the space is there in part.
    while ((await part()) === 0) await oneStep();
    expect(await part()).toBe(3);
    await database.query(
      `update event set json = replace(json, 'hello', 'erased') where stream = $1 and type = 'message.created'`,
      [space],
    );
    await database.query(`update space set epoch = 'yet another' where id = $1`, [space]);
    await rebuild(small);
    const rows = await database.query(`select 1 from message where space = $1 and text = 'hello'`, [space]);
    expect(rows).toEqual([]);
  }, 60_000);

  it('builds a long space again in steps, and switches no part of it', async () => {
    const space = personalSpaceId('ann');
    const before = await dump(database);
    await order();
    const stop = new AbortController();
    const running = postgresRebuild(database, log, { ...small, rest: 0 }).run(stop.signal);
    await vi.waitFor(async () => expect((await newest())?.phase).toBe('following'), { timeout: 30_000 });
    stop.abort();
    await running.catch(() => {});
    await database.query(`update space set epoch = 'of a long one' where id = $1`, [space]);
    const steps: number[] = [];
    const transaction: typeof database.transaction = (work, options) =>
      database.transaction(async (tx) => {
        const offset = async () => {
          const [row] = await tx.query<{ offset: number; epoch: string }>(
            'select "offset", epoch from read_model_checkpoint where space = $1',
            [space],
          );
          return row?.epoch === 'of a long one' ? row.offset : 0;
        };
        const at = await offset();
        const done = await work(tx);
        steps.push((await offset()) - at);
        return done;
      }, options);
    await vi.waitFor(
      async () => {
        await postgresRebuild({ ...database, transaction }, log, { ...small, rest: 1 }).run(signal);
        expect((await newest())?.phase).toBe('switched');
      },
      { timeout: 30_000, interval: 20 },
    );
    expect(Math.max(...steps)).toBe(small.events);
    expect(steps.filter((events) => events > 0).length).toBeGreaterThan(3);
    expect(await dump(database)).toEqual(before);
  }, 60_000);

  it('gives what erasing a person has left', async () => {
    const { space } = await sync.gateway.createSpace({ title: 'Two', idempotencyKey: '' }, actingFor('ann'));
    const id = space?.id ?? '';
    await admit(sync, 'ann', { space: id, userId: 'eve', role: 'editor' });
    await live('eve');
    const asked = await sync.gateway.appendMessage(messageOf('of eve', { space: id }), actingFor('eve'));
    const end = { outcome: 'completed', text: 'to eve', errorCode: '', metaJson: '{"model":"m"}' };
    await sync.agent.endTurn({ space: id, turnId: asked.turnId, ...end }, asService());
    await sync.gateway.appendMessage(messageOf('of ann', { space: id }), actingFor('ann'));
    const eraser = sync.clientOf(erasureV1.ErasureServiceService, 'user');
    await eraser.eraseUser({ userId: 'eve', email: '' }, asService(60_000));
    const before = await dump(database);
    expect(JSON.stringify(before)).not.toContain('of eve');
    await order();
    await rebuild(small);
    expect(await newest()).toMatchObject({ differences: {} });
    expect(await dump(database)).toEqual(before);
  }, 60_000);

  it('does not keep a space from being erased meanwhile, and brings nothing of it back', async () => {
    const eraser = sync.clientOf(erasureV1.ErasureServiceService, 'user');
    const erase = (userId: string) => eraser.eraseUser({ userId, email: '' }, asService(60_000));
    const held = async (space: string) => {
      const rows: string[] = [];
      for (const [name, lines] of Object.entries(await dump(database)))
        rows.push(...lines.filter((line) => line.includes(space)).map((line) => `${name} ${line}`));
      return rows;
    };
    for (const user of ['fay', 'gus']) await live(user);
    const [fay, gus] = [personalSpaceId('fay'), personalSpaceId('gus')];
    await order();
    const stop = new AbortController();
    // As far as it comes without a switch, with both spaces in the new tables.
    const running = postgresRebuild(database, log, { rest: 0 }).run(stop.signal);
    await vi.waitFor(async () => expect((await newest())?.phase).toBe('following'), { timeout: 30_000 });
    stop.abort();
    await running.catch(() => {});
    const copied = await database.query('select 1 from member_next where space = any($1)', [[fay, gus]]);
    expect(copied).toHaveLength(2);
    await erase('fay');
    // The switch comes when some of the other one is gone already.
    let switched = false;
    const query: typeof database.query = async (sql, params, options) => {
      const rows = await database.query<never>(sql, params, options);
      if (!switched && typeof sql === 'string' && sql.startsWith('delete from message')) {
        switched = true;
        await rebuild();
      }
      return rows;
    };
    const { drop } = postgresErasures({
      database: { ...database, query },
      bus: { erase: async () => {} },
      ids: systemIds,
      sha256: nativeSha256,
      forgetSagas: async () => {},
    });
    const turns = await database.query<{ id: string }>('select id from turn where space = $1', [gus]);
    expect(turns.length).toBeGreaterThan(0);
    expect(await drop(gus, 'gus', signal)).toBe(true);
    expect(switched).toBe(true);
    expect([...(await held(fay)), ...(await held(gus))]).toEqual([]);
    const ends = await database.query('select 1 from turn_end where turn_id = any($1)', [
      turns.map(({ id }) => id),
    ]);
    expect(ends).toEqual([]);
  }, 60_000);
});
