import { erasureV1, healthRecordV1 } from '@skein/contracts';
import { type Database, openDatabase, type Queryable } from '@skein/postgres';
import { rootContext } from '@skein/rpc';
import { createLogger } from '@skein/telemetry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemIds } from '../src/adapters/ids.ts';
import { nativeSha256 } from '../src/adapters/native-sha256.ts';
import { postgresErasures } from '../src/adapters/postgres-erasures.ts';
import { redactSpace } from '../src/adapters/redact-space.ts';
import { migrations } from '../src/adapters/schema.ts';
import { personalSpaceId } from '../src/app/personal-space.ts';
import {
  actingFor,
  admit,
  asService,
  messageOf,
  openLive,
  type Running,
  startOnNewDatabase,
} from './harness.ts';
import { hlc, set, writing } from './writing.ts';

const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });
let sync: Running & { readonly databaseUrl: string };
let database: ReturnType<typeof openDatabase>;
beforeAll(async () => {
  sync = await startOnNewDatabase();
  database = openDatabase(
    { url: sync.databaseUrl, schema: 'session_sync', migrations, applicationName: 'test', poolSize: 2 },
    { log },
  );
  await database.run();
});
afterAll(async () => {
  await database?.stop();
  await sync?.stop();
});

const { mutate, logOf } = writing(() => sync);

const erase = (userId: string, email = '') => {
  const client = sync.clientOf(erasureV1.ErasureServiceService, 'user');
  return client.eraseUser({ userId, email }, rootContext({ timeoutMs: 60_000 }));
};

const newTeam = async (owner: string, ...members: string[]): Promise<string> => {
  const { space } = await sync.gateway.createSpace({ title: 'Team', idempotencyKey: '' }, actingFor(owner));
  const id = space?.id ?? '';
  for (const userId of members) await admit(sync, owner, { space: id, userId, role: 'editor' });
  return id;
};

const documentsOf = async (user: string, space: string) => {
  const { items } = await sync.gateway.listDocuments(
    { space, collection: '', limit: 0, cursor: '' },
    actingFor(user),
  );
  return Object.fromEntries(items.map(({ id, valueJson }) => [id, JSON.parse(valueJson) as unknown]));
};

/** Every row of the schema that holds a text. */
const holding = async (text: string): Promise<string[]> => {
  const tables = await database.query<{ name: string }>(
    `select table_name as name from information_schema.tables where table_schema = 'session_sync'`,
  );
  const found: string[] = [];
  for (const { name } of tables) {
    const rows = await database.query<{ row: string }>(
      `select t::text as row from session_sync."${name}" t where strpos(t::text, $1) > 0`,
      [text],
    );
    found.push(...rows.map(({ row }) => `${name}: ${row}`));
  }
  return found;
};

const ledgerOf = (user: string, space: string) =>
  sync.clientOf(healthRecordV1.HealthRecordServiceService).verifyLedger({ space }, actingFor(user));

describe('erasing a person', () => {
  it('takes their words out of a team’s history and leaves everybody else’s, at the same offsets', async () => {
    const space = await newTeam('boss', 'gone');
    const gone = actingFor('gone');
    const boss = actingFor('boss');
    const say = (text: string, ctx = gone) =>
      sync.gateway.appendMessage(messageOf(text, { space, reply: false }), ctx);
    for (const by of [boss, gone])
      await sync.gateway.createConversation(
        { space, title: 'Same title', idempotencyKey: '', origin: undefined },
        by,
      );
    const titled = await sync.gateway.createConversation(
      { space, title: 'SECRET title', idempotencyKey: '', origin: undefined },
      gone,
    );
    const conversationId = titled.conversation?.id ?? '';
    await say('SECRET words');
    await say('boss words', boss);
    const { items } = await sync.gateway.listMessages(
      { space, conversationId: '', limit: 0, cursor: '' },
      boss,
    );
    await sync.gateway.forkConversation(
      { space, conversationId, messageId: items[0]?.id ?? '', title: '', reason: '', origin: undefined },
      boss,
    );
    const device = 'SECRET-phone';
    await mutate('gone', device, [set(1, 'SECRET value', { id: 'alone-SECRET' })], space);
    await mutate('boss', 'desk', [set(1, 'boss value', { id: 'shared' })], space);
    await mutate(
      'gone',
      device,
      [set(2, 'SECRET note', { id: 'shared', field: 'note', baseVersion: 1 })],
      space,
    );
    await mutate(
      'boss',
      'desk',
      [set(2, 'more', { id: 'shared', field: 'more', baseVersion: 2, hlc: hlc(9) })],
      space,
    );
    const record = { collection: 'health_data', field: 'pulse', id: 'pulse' };
    await mutate('boss', 'desk', [set(3, 60, record)], space);
    await mutate('gone', device, [set(3, 'SECRET pulse', { ...record, field: 'by', baseVersion: 1 })], space);
    const before = await logOf('boss', space);
    // The older part of the log is elsewhere.
    const archived = () =>
      database.query<{ moved: number }>(
        `select archive_events($1, 'session-sync', ${Number.MAX_SAFE_INTEGER}) as moved`,
        [space],
      );
    // Some at a time, as far as the relay has published.
    let moved = 0;
    const movedSoFar = async () => (moved += (await archived())[0]?.moved ?? 0);
    await expect.poll(movedSoFar, { timeout: 20_000 }).toBeGreaterThan(8);
    const live = openLive(sync.gateway);
    live.follow(space);
    await expect.poll(() => live.frames.map(({ $case }) => $case)).toContain('following');

    await erase('gone');

    expect(await holding('SECRET')).toEqual([]);
    const after = await logOf('boss', space);
    expect(after.types.length).toBe(before.types.length + 2);
    expect(after.types.slice(before.types.length)).toEqual(['member.removed', 'space.changed']);
    expect(after.types.filter((type) => type === 'event.erased')).toHaveLength(1);
    expect(await documentsOf('boss', space)).toEqual({
      shared: { title: 'boss value', more: 'more' },
      pulse: { pulse: 60 },
    });
    const said = await sync.gateway.listMessages({ space, conversationId: '', limit: 0, cursor: '' }, boss);
    expect(said.items.map(({ text }) => text).toSorted()).toEqual(['', 'boss words']);
    const listed = await sync.gateway.listConversations({ space, limit: 0, cursor: '' }, boss);
    const titles = listed.items.map(({ title }) => title);
    expect(titles).not.toContain('SECRET title');
    expect(titles.filter((title) => title === 'Same title')).toHaveLength(1);
    expect((await ledgerOf('boss', space)).faults).toEqual([]);
    // What follows the space has to begin anew; what is read then adds up.
    await expect.poll(() => live.frames.map(({ $case }) => $case), { timeout: 20_000 }).toContain('lost');
    live.close();
    const head = after.types.length;
    const last = new Map(
      after.events
        .filter(({ type }) => type === 'document.changed')
        .map(({ data }) => [data.id, data.value] as const),
    );
    expect(Object.fromEntries(last)).toEqual(await documentsOf('boss', space));
    // Again changes nothing, not even the epoch.
    const [{ epoch } = { epoch: '' }] = await database.query<{ epoch: string }>(
      'select epoch from space where id = $1',
      [space],
    );
    await erase('gone');
    expect(await database.query('select epoch from space where id = $1', [space])).toEqual([{ epoch }]);
    expect((await logOf('boss', space)).types).toHaveLength(head);
    // The others go on.
    await say('boss goes on', boss);
    await mutate('boss', 'desk', [set(4, 'changed', { id: 'shared', baseVersion: 3, hlc: hlc(10) })], space);
    expect(await documentsOf('boss', space)).toMatchObject({ shared: { title: 'changed', more: 'more' } });
  }, 60_000);

  it('empties their own space but for the chain of its ledger, and refuses what comes late', async () => {
    const user = 'leaver';
    const space = personalSpaceId(user);
    await sync.gateway.appendMessage(messageOf('PRIVATE words', { reply: true }), actingFor(user));
    await mutate(user, 'PRIVATE-phone', [set(1, 'PRIVATE', { collection: 'health_data', id: 'PRIVATE-id' })]);
    await mutate(user, 'other', [set(1, 'PRIVATE too', { collection: 'health_data', id: 'PRIVATE-id' })]);
    await sync.gateway.openSession(
      { device: { id: 'PRIVATE-phone', platform: 'PRIVATE-platform', name: 'PRIVATE name' } },
      actingFor(user),
    );
    const entries = (await ledgerOf(user, 'personal')).entries;
    expect(entries).toBeGreaterThan(0);
    await erase(user);
    expect(await holding('PRIVATE')).toEqual([]);
    const chain = await database.query<{ position: number; salt: string | null }>(
      'select position, salt from ledger_entry where space = $1 order by position',
      [space],
    );
    expect(chain).toEqual(Array.from({ length: entries }, (_, at) => ({ position: at + 1, salt: null })));
    const late = actingFor(user);
    for (const attempt of [
      () => sync.gateway.appendMessage(messageOf('late'), late),
      () => mutate(user, 'd', [set(1, 'late')]),
    ])
      await expect(attempt()).rejects.toMatchObject({ code: 'not_found' });
    const device = { id: 'd', platform: 'web', name: '' };
    expect((await sync.gateway.openSession({ device }, late)).spaces).toEqual([]);
    const team = await newTeam('boss');
    await expect(
      sync.gateway.putMember({ space: team, userId: user, role: 'editor' }, actingFor('boss')),
    ).rejects.toMatchObject({ code: 'not_found' });
    expect(await database.query('select 1 from device where user_id = $1', [user])).toEqual([]);
  });

  it('leaves a team they owned to whoever had most say, and takes one nobody is left in away', async () => {
    const shared = await newTeam('founder', 'reader', 'writer');
    await sync.gateway.putMember({ space: shared, userId: 'reader', role: 'viewer' }, actingFor('founder'));
    const own = await newTeam('founder');
    await erase('founder');
    const { items } = await sync.gateway.listMembers(
      { space: shared, limit: 0, cursor: '' },
      actingFor('reader'),
    );
    expect(items).toEqual([
      { userId: 'reader', role: 'viewer' },
      { userId: 'writer', role: 'owner' },
    ]);
    expect(await database.query('select 1 from space where id = $1', [own])).toEqual([]);
  });

  it('leaves a team to whoever comes in at the last moment, with what they write there', async () => {
    const space = await newTeam('lonely');
    await sync.gateway.appendMessage(messageOf('LONELY words', { space, reply: false }), actingFor('lonely'));
    let erasing: Promise<unknown> | undefined;
    await database.transaction(async (tx) => {
      // As a commit that lets somebody in, while the space is about to be dropped.
      await tx.query('select pg_advisory_xact_lock_shared(hashtextextended($1::text, 0))', [space]);
      erasing = erase('lonely');
      erasing.catch(() => {});
      const waiting = () =>
        tx.query(
          `select 1 from pg_locks w join pg_locks mine using (locktype, database, classid, objid, objsubid)
           where locktype = 'advisory' and mine.pid = pg_backend_pid() and not w.granted`,
        );
      await expect.poll(waiting, { timeout: 20_000 }).toHaveLength(1);
      await tx.query(
        `insert into member (space, user_id, role, joined_at_ms) values ($1, 'newcomer', 'editor', 1)`,
        [space],
      );
    });
    await mutate('newcomer', 'desk', [set(1, 'kept')], space);
    await erasing;
    const { items } = await sync.gateway.listMembers({ space, limit: 0, cursor: '' }, actingFor('newcomer'));
    expect(items).toEqual([{ userId: 'newcomer', role: 'owner' }]);
    expect(await documentsOf('newcomer', space)).toEqual({ a: { title: 'kept' } });
    expect(await holding('LONELY')).toEqual([]);
  }, 60_000);

  it('lets nobody in by an invitation of theirs once it has begun', async () => {
    const space = await newTeam('parting');
    const invite = { space, role: 'editor', email: '', expiresInHours: 0 };
    const { invitation } = await sync.gateway.createInvitation(invite, actingFor('parting'));
    const { forbid } = postgresErasures({
      ...{ database, ids: systemIds, sha256: nativeSha256 },
      ...{ bus: { erase: async () => {} }, forgetSagas: async () => {} },
    });
    await forbid('parting', 1);
    const accepted = sync.gateway.acceptInvitation(
      { code: invitation?.code ?? '', email: '' },
      actingFor('visitor'),
    );
    await expect(accepted).rejects.toMatchObject({ code: 'not_found' });
    await erase('parting');
  });

  it('finds what they wrote into a space they have left', async () => {
    const space = await newTeam('host', 'guest');
    await sync.gateway.appendMessage(messageOf('PARTING words', { space, reply: false }), actingFor('guest'));
    await sync.gateway.removeMember({ space, userId: 'guest' }, actingFor('host'));
    await erase('guest');
    expect(await holding('PARTING')).toEqual([]);
  });

  it('waits for its transaction as long as the server lets that run, not as for other statements', async () => {
    const space = await newTeam('keeper', 'parted');
    await sync.gateway.appendMessage(messageOf('LAST words', { space, reply: false }), actingFor('parted'));
    const waits: (number | undefined)[] = [];
    const noted: Database = {
      ...database,
      transaction: (fn, options) =>
        database.transaction((tx) => {
          const query: Queryable['query'] = (sql, params, own) => {
            waits.push(own?.answerMs);
            return tx.query(sql, params, own);
          };
          return fn({ query });
        }, options),
    };
    const { signal } = new AbortController();
    await redactSpace(
      { database: noted, ids: systemIds, sha256: nativeSha256 },
      { space, userId: 'parted', quoted: [] },
      signal,
    );
    expect(await holding('LAST')).toEqual([]);
    expect([...new Set(waits)]).toEqual([243_000]);
  });

  it('leaves the conflicts of others on what both wrote, to be undone as before', async () => {
    const space = await newTeam('chief', 'clasher', 'colleague');
    const write = (user: string, title: string, at: number) =>
      mutate(
        user,
        'device',
        [{ ...set(1, 0), ops: [{ op: 'set', path: [], value: { title, done: true } }], hlc: hlc(at) }],
        space,
      );
    await write('chief', 'first', 9_000);
    await write('clasher', 'CLASHING', 1_000);
    await write('colleague', 'the colleague’s', 2_000);
    const conflicts = async () => {
      const request = { space, state: '', limit: 0, cursor: '' };
      return (await sync.gateway.listConflicts(request, actingFor('colleague'))).items;
    };
    expect(await conflicts()).toHaveLength(2);
    await erase('clasher');
    expect(await holding('CLASHING')).toEqual([]);
    const [left, ...more] = await conflicts();
    expect(more).toEqual([]);
    await sync.gateway.undoConflict(
      { space, conflictId: left?.id ?? '', origin: undefined },
      actingFor('colleague'),
    );
    expect(await documentsOf('colleague', space)).toEqual({ a: { title: 'the colleague’s', done: true } });
  });

  it('removes invitations by them and for them', async () => {
    const space = await newTeam('inviter', 'invited');
    const invite = (by: string, email: string) =>
      sync.gateway.createInvitation({ space, role: 'viewer', email, expiresInHours: 0 }, actingFor(by));
    await invite('inviter', 'somebody@example.org');
    const host = await newTeam('hostess');
    await sync.gateway.createInvitation(
      { space: host, role: 'viewer', email: 'inviter@example.org', expiresInHours: 0 },
      actingFor('hostess'),
    );
    await erase('inviter', 'inviter@example.org');
    expect(await holding('@example.org')).toEqual([]);
  });

  it('is for the user service alone', async () => {
    const client = sync.clientOf(erasureV1.ErasureServiceService, 'gateway');
    await expect(client.eraseUser({ userId: 'boss', email: '' }, asService())).rejects.toMatchObject({
      code: 'forbidden',
    });
  });
});
