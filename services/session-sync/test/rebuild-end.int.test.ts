import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openDatabase } from '@skein/postgres';
import { createLogger } from '@skein/telemetry';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { postgresRebuild } from '../src/adapters/postgres-rebuild.ts';
import { migrations } from '../src/adapters/schema.ts';
import { actingFor, messageOf, startOnNewDatabase } from './harness.ts';
import { dump } from './read-model-dump.ts';

const signal = new AbortController().signal;
const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });
const cli = fileURLToPath(new URL('../../../packages/cli/src/main.ts', import.meta.url));
let sync: Awaited<ReturnType<typeof startOnNewDatabase>>;
let database: ReturnType<typeof openDatabase>;
beforeAll(async () => {
  // What the service does by itself must not come in between: it is here done step by step.
  sync = await startOnNewDatabase({}, { timers: { after: () => () => {} } });
  database = openDatabase(
    { url: sync.databaseUrl, schema: 'session_sync', migrations, applicationName: 'test', poolSize: 4 },
    { log },
  );
  await database.run();
  await sync.gateway.appendMessage(messageOf('first'), actingFor('ann'));
}, 60_000);
afterAll(async () => {
  await database.stop();
  await sync.stop();
});

const order = () => database.query(`insert into read_model_rebuild (actor, reason) values ('op', 'because')`);
const newest = async () => {
  const [row] = await database.query<{ phase: string; differences: object; events: number }>(
    'select phase, differences, events from read_model_rebuild order by id desc limit 1',
  );
  return row;
};
/** Until it is through, however often others are in the way. */
const rebuild = (): Promise<void> =>
  vi.waitFor(
    async () => {
      await postgresRebuild(database, log).run(signal);
      expect((await newest())?.phase).toBe('switched');
    },
    { timeout: 60_000, interval: 20 },
  );

describe('a rebuild', () => {
  describe('of which people write more than is built', () => {
    let said = 0;
    /** Every step finds ten new events; so many steps are done at most. */
    const outpaced = async (limits: { readonly rest: number }, most: number) => {
      const stop = new AbortController();
      let steps = 0;
      const transaction: typeof database.transaction = async (work, options) => {
        steps += 1;
        if (steps > most) stop.abort();
        for (let n = 0; n < 10; n += 1) {
          said += 1;
          await sync.gateway.appendMessage(messageOf(`more ${said}`, { reply: false }), actingFor('ann'));
        }
        return database.transaction(work, options);
      };
      await postgresRebuild({ ...database, transaction }, log, limits)
        .run(stop.signal)
        .catch((error: Error) => expect(error.name).toBe('AbortError'));
    };
    const followed = (text: string) =>
      database.query(
        `update read_model_rebuild set followed_at = now() - $1::interval where ended_at is null`,
        [text],
      );

    it('leaves more for its end as time goes by', async () => {
      await order();
      await outpaced({ rest: 5 }, 20);
      expect(await newest()).toMatchObject({ phase: 'following' });
      await followed('30 minutes');
      await vi.waitFor(
        async () => {
          await outpaced({ rest: 5 }, 20);
          expect(await newest()).toMatchObject({ phase: 'switched', differences: {} });
        },
        { timeout: 60_000, interval: 20 },
      );
      const live = await dump(database);
      await order();
      await rebuild();
      expect(await dump(database)).toEqual(live);
    }, 90_000);

    it('ends after an hour, with what is shown as it was', async () => {
      await order();
      await outpaced({ rest: 0 }, 20);
      expect(await newest()).toMatchObject({ phase: 'following' });
      await followed('59 minutes');
      await outpaced({ rest: 0 }, 3);
      expect(await newest()).toMatchObject({ phase: 'following' });
      await followed('60 minutes');
      const before = await dump(database);
      await postgresRebuild(database, log, { rest: 0 }).run(signal);
      expect(await newest()).toMatchObject({ phase: 'outpaced', events: expect.any(Number) as number });
      expect(await dump(database)).toEqual(before);
      expect(await database.query(`select 1 from pg_tables where tablename like '%\\_next'`)).toEqual([]);
      // The next one is another one.
      await order();
      await rebuild();
      expect(await newest()).toMatchObject({ phase: 'switched', differences: {} });
    }, 60_000);
  });

  it('is ordered by a command, which tells how it goes, and refuses a second one, and cancelled by one', async () => {
    const running = await startOnNewDatabase();
    await running.gateway.appendMessage(messageOf('mine'), actingFor('dora'));
    const skein = async (verb: string, reason: string) => {
      const args = [cli, 'db', verb, '--reason', reason];
      const { stdout } = await promisify(execFile)(process.execPath, args, {
        env: { ...process.env, DATABASE_URL: running.databaseUrl },
      });
      return stdout;
    };
    const told = await skein('rebuild', 'to be sure');
    expect(told).toContain('Switched: 1 spaces');
    expect(told).toContain('Every row was as the log says.');
    // As if somebody else's had not ended yet, in a database whose service is gone.
    await running.stop();
    const other = openDatabase(
      { url: running.databaseUrl, schema: 'session_sync', migrations, applicationName: 'test', poolSize: 1 },
      { log },
    );
    await other.run();
    await other.query(`insert into read_model_rebuild (actor, reason) values ('op', 'mine')`);
    await expect(skein('rebuild', 'mine too')).rejects.toMatchObject({
      stderr: expect.stringContaining('A rebuild is under way already') as string,
    });
    const stop = new AbortController();
    const step = postgresRebuild(other, log).run(stop.signal);
    stop.abort();
    await expect(step).rejects.toThrow();
    expect(await skein('cancel-rebuild', 'it takes too long')).toContain('Cancelled');
    expect(await other.query('select phase, reason from read_model_rebuild where id > 1')).toEqual([
      { phase: 'cancelled', reason: expect.stringMatching(/^mine; cancelled by .+: it takes too long$/) },
    ]);
    expect(await other.query(`select 1 from pg_tables where tablename like '%\\_next'`)).toEqual([]);
    const given = expect(skein('rebuild', 'in vain')).rejects.toMatchObject({
      stdout: expect.stringMatching(/Given up: 1 spaces, \d+ events/) as string,
      stderr: expect.stringContaining('order it again when less is written') as string,
    });
    await vi.waitFor(
      async () => {
        await postgresRebuild(other, log, { rest: 0, followMs: 0 }).run(signal);
        const ended = `select 1 from read_model_rebuild where phase = 'outpaced'`;
        expect(await other.query(ended)).toHaveLength(1);
      },
      { timeout: 30_000, interval: 20 },
    );
    await given;
    await expect(skein('cancel-rebuild', 'again')).rejects.toMatchObject({
      stderr: expect.stringContaining('No rebuild is under way') as string,
    });
    await other.stop();
  }, 60_000);
});
