import type { syncV1 } from '@skein/contracts';
import { openDatabase } from '@skein/postgres';
import { deriveContext } from '@skein/rpc';
import { createLogger } from '@skein/telemetry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { postgresInvitations } from '../src/adapters/postgres-invitations.ts';
import { postgresSweeps } from '../src/adapters/postgres-sweeps.ts';
import { migrations } from '../src/adapters/schema.ts';
import { actingFor, asService, type Running, startOnNewDatabase } from './harness.ts';

const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });
const dayMs = 24 * 3_600_000;
let nowMs = Date.now();
let sync: Running & { readonly databaseUrl: string };
let database: ReturnType<typeof openDatabase>;
beforeAll(async () => {
  sync = await startOnNewDatabase({}, { clock: { now: () => nowMs } });
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

const newTeam = async (owner: string): Promise<string> => {
  const made = await sync.gateway.createSpace({ title: 'Team', idempotencyKey: '' }, actingFor(owner));
  return made.space?.id ?? '';
};
const keyed = (user: string, key?: string) =>
  deriveContext(actingFor(user), key === undefined ? {} : { idempotencyKey: key });
const invite = async (
  owner: string,
  space: string,
  more: Partial<syncV1.CreateInvitationRequest> = {},
  key?: string,
) => {
  const request = { space, role: 'editor', email: '', expiresInHours: 0, ...more };
  const { invitation } = await sync.gateway.createInvitation(request, keyed(owner, key));
  if (!invitation) throw new Error('an invitation was made');
  return invitation;
};
const put = (owner: string, space: string, userId: string, role = 'editor', key?: string) =>
  sync.gateway.putMember({ space, userId, role }, keyed(owner, key));
const remove = (owner: string, space: string, userId: string) =>
  sync.gateway.removeMember({ space, userId }, actingFor(owner));
const address = (user: string) => `${user}@example.org`;
const accept = (user: string, code: string) =>
  sync.gateway.acceptInvitation({ code, email: address(user) }, actingFor(user));
const preview = (user: string, code: string) =>
  sync.gateway.readInvitation({ code, email: address(user) }, actingFor(user));
const decline = (user: string, code: string) =>
  sync.gateway.declineInvitation({ code, email: address(user) }, actingFor(user));
const lookUp = (invitationId: string) => sync.as('user').lookUpInvitation({ invitationId }, asService());
const isMailed = (id: string) =>
  lookUp(id).then(
    () => true,
    (error: { code: string }) => {
      if (error.code === 'not_found') return false;
      throw error;
    },
  );
const received = async (user: string) =>
  (await sync.gateway.listReceivedInvitations({ limit: 200, cursor: '' }, actingFor(user))).items;
const open = async (owner: string, space: string) =>
  (await sync.gateway.listInvitations({ space, limit: 0, cursor: '' }, actingFor(owner))).items;
const invalid = { code: 'not_found', detail: 'This invitation is not valid' };

/** Makes an invitation for a person, and gives its code. */
const named = async (owner: string, space: string, user: string, role = 'owner'): Promise<string> => {
  await put(owner, space, user, role);
  return (await received(user)).find((one) => one.space === space)?.invitation?.code ?? '';
};
const mailed = async (owner: string, space: string, user: string): Promise<string> =>
  (await invite(owner, space, { email: address(user) })).code;
const link = async (owner: string, space: string): Promise<string> =>
  (await invite(owner, space, { role: 'viewer' })).code;

describe('who was removed', () => {
  it.each([
    ['named', named, link],
    ['mailed', mailed, link],
    ['mailed', mailed, mailed],
    ['mailed before one by name', mailed, named],
  ])('does not come back by an older invitation: %s', async (_, old, used) => {
    const space = await newTeam('boss');
    const first = await old('boss', space, 'sly');
    await accept('sly', await used('boss', space, 'sly'));
    expect(await open('boss', space)).toEqual([]);
    await remove('boss', space, 'sly');
    for (const attempt of [accept, preview, decline])
      await expect(attempt('sly', first)).rejects.toMatchObject(invalid);
    // Only by what is decided now.
    await accept('sly', await named('boss', space, 'sly', 'viewer'));
    await remove('boss', space, 'sly');
  });

  it('nor by one that came to the address meanwhile, however long ago the person came', async () => {
    const space = await newTeam('chief');
    await accept('old', await link('chief', space));
    nowMs += 40 * dayMs;
    await postgresSweeps(database).forget(nowMs, []);
    const late = await mailed('chief', space, 'old');
    // Another role is a decision too.
    const demoted = await mailed('chief', space, 'old');
    await put('chief', space, 'old', 'editor');
    expect(await open('chief', space)).toEqual([]);
    const last = await mailed('chief', space, 'old');
    await remove('chief', space, 'old');
    for (const code of [late, demoted, last])
      await expect(accept('old', code)).rejects.toMatchObject(invalid);
    // Nothing of the person is left in what opened the space.
    expect(
      await database.query(`select 1 from invitation where person_email = $1`, [address('old')]),
    ).toEqual([]);
  });

  it('when both come in one flush, stays out as well', async () => {
    const space = await newTeam('quick');
    const code = await link('quick', space);
    await Promise.allSettled([accept('flash', code), remove('quick', space, 'flash')]);
    await remove('quick', space, 'flash').catch(() => {});
    await expect(accept('flash', code)).rejects.toMatchObject(invalid);
  });
});

describe('an invitation that is taken back', () => {
  it.each([
    ['revoked', undefined],
    ['declined', { userId: 'torn', email: address('torn') }],
  ])('while somebody comes in by it, lets nobody in who was told so: %s', async (_, declines) => {
    const space = await newTeam('host');
    const { id, code } = await invite('host', space, { email: address('torn') });
    let coming: Promise<unknown> = Promise.resolve();
    await database.transaction(async (tx) => {
      // It is taken back, by a clock that is ahead, and not yet to be seen when the other one decides.
      expect(await postgresInvitations(tx).end({ space, id }, nowMs + 1, declines)).toBeDefined();
      coming = accept('torn', code);
      coming.catch(() => {});
      const waiting = () =>
        database.query(
          `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
        );
      await expect.poll(waiting, { timeout: 20_000 }).not.toEqual([]);
    });
    await expect(coming).rejects.toMatchObject(invalid);
    const { items } = await sync.gateway.listMembers({ space, limit: 0, cursor: '' }, actingFor('host'));
    expect(items).toHaveLength(1);
  });
});

describe('an idempotency key that is used again after its day', () => {
  const dayPasses = () =>
    database.query(`update idempotency_keys set created_at = created_at - interval '25 hours'`);

  it('is another request: it revives nobody’s invitation', async () => {
    const space = await newTeam('keeper');
    await put('keeper', space, 'first', 'owner', 'k');
    const code = (await received('first'))[0]?.invitation?.code ?? '';
    await decline('first', code);
    // Within the day it is the same request, and done.
    expect(await put('keeper', space, 'first', 'owner', 'k')).toMatchObject({ invited: true });
    expect(await received('first')).toEqual([]);
    await expect(put('keeper', space, 'second', 'viewer', 'k')).rejects.toMatchObject({
      code: 'idempotency_mismatch',
    });
    await dayPasses();
    await put('keeper', space, 'second', 'viewer', 'k');
    expect(await received('second')).toMatchObject([{ space, invitation: { role: 'viewer' } }]);
    await expect(accept('first', code)).rejects.toMatchObject(invalid);
    await dayPasses();
    await put('keeper', space, 'first', 'editor', 'k');
    expect(await received('first')).toMatchObject([{ space, invitation: { role: 'editor' } }]);
    const made = await invite('keeper', space, {}, 'k');
    await sync.gateway.revokeInvitation({ space, invitationId: made.id }, actingFor('keeper'));
    expect((await invite('keeper', space, {}, 'k')).id).toBe(made.id);
    await dayPasses();
    expect((await invite('keeper', space, {}, 'k')).id).not.toBe(made.id);
    await expect(accept('anybody', made.code)).rejects.toMatchObject(invalid);
  });

  it('and no statement makes an invitation last longer', async () => {
    const space = await newTeam('holder');
    const { id } = await invite('holder', space, { expiresInHours: 1 });
    const [row] = await database.query<{ row: object }>(
      `select json_build_array(json_build_object('id', id, 'space', space, 'role', role, 'code', code,
         'createdBy', created_by, 'createdAtMs', created_at_ms, 'expiresAtMs', expires_at_ms + 1000)) as row
       from invitation where id = $1`,
      [id],
    );
    await database.query('select commit_invitations($1)', [JSON.stringify(row?.row)]);
    expect(
      await database.query(
        'select expires_at_ms - created_at_ms as "lastsMs" from invitation where id = $1',
        [id],
      ),
    ).toEqual([{ lastsMs: 3_600_000 }]);
  });
});

describe('a code that opens nothing', () => {
  it('is the same to all who ask: its maker is no owner any more', async () => {
    const space = await newTeam('maker');
    await accept('heir', await named('maker', space, 'heir'));
    const { id, code } = await invite('maker', space, { email: address('guest') });
    expect(await isMailed(id)).toBe(true);
    await put('heir', space, 'maker', 'viewer');
    for (const attempt of [accept, preview, decline])
      await expect(attempt('guest', code)).rejects.toMatchObject(invalid);
    await expect(lookUp(id)).rejects.toMatchObject(invalid);
    expect(await open('heir', space)).toEqual([]);
  });

  it('also to who came in by it and has left', async () => {
    const space = await newTeam('opener');
    const code = await link('opener', space);
    await accept('visitor', code);
    expect(await preview('visitor', code)).toMatchObject({ role: 'viewer' });
    await expect(decline('visitor', code)).rejects.toMatchObject(invalid);
    await remove('visitor', space, 'visitor');
    for (const attempt of [accept, preview, decline])
      await expect(attempt('visitor', code)).rejects.toMatchObject(invalid);
  });
});

describe('mails to somebody who did not ask for them', () => {
  it('are few by one person and in all, and the answer is the same', async () => {
    const mails: boolean[] = [];
    for (let n = 0; n < 4; n += 1) {
      const space = await newTeam('pest');
      const made = await invite('pest', space, { email: address('victim') });
      // Taking it back does not take back the mail.
      mails.push(await isMailed(made.id));
      expect(made).toMatchObject({ email: address('victim'), role: 'editor' });
      await sync.gateway.revokeInvitation({ space, invitationId: made.id }, actingFor('pest'));
    }
    expect(mails).toEqual([true, true, true, false]);
    nowMs += dayMs;
    for (let n = 0; n < 20; n += 1) {
      const { id } = await invite(`pest-${n}`, await newTeam(`pest-${n}`), { email: address('victim') });
      expect(await isMailed(id)).toBe(true);
    }
    const space = await newTeam('friend');
    const quiet = await invite('friend', space, { email: address('victim') });
    expect(await isMailed(quiet.id)).toBe(false);
    // It is there all the same.
    expect(await preview('victim', quiet.code)).toMatchObject({ title: 'Team' });
    nowMs += dayMs;
    expect(await isMailed((await invite('friend', space, { email: address('victim') })).id)).toBe(true);
  });

  it('come no more for a while from a space they have declined, by whatever name', async () => {
    const space = await newTeam('asker');
    const first = await invite('asker', space, { email: address('calm') });
    await decline('calm', first.code);
    const mails = async () => {
      const code = await named('asker', space, 'calm', 'viewer');
      const ids = [(await received('calm')).find((one) => one.space === space)?.invitation?.id ?? ''];
      ids.push((await invite('asker', space, { email: address('calm') })).id);
      const made = await Promise.all(ids.map(isMailed));
      // Whoever looks finds it, and may come.
      expect(await preview('calm', code)).toMatchObject({ role: 'viewer' });
      for (const invitationId of ids)
        await sync.gateway.revokeInvitation({ space, invitationId }, actingFor('asker'));
      return made;
    };
    expect(await mails()).toEqual([false, false]);
    // Only from this space.
    expect(
      await isMailed((await invite('asker', await newTeam('asker'), { email: address('calm') })).id),
    ).toBe(true);
    nowMs += 6 * dayMs;
    await postgresSweeps(database).forget(nowMs, []);
    // Of those who said nothing nothing is kept.
    const kept = 'select distinct declined_by as by from invitation where space = $1';
    expect(await database.query(kept, [space])).toEqual([{ by: 'calm' }]);
    expect(await mails()).toEqual([false, false]);
    nowMs += 2 * dayMs;
    await postgresSweeps(database).forget(nowMs, []);
    expect(await database.query('select 1 from invitation where declined_by is not null')).toEqual([]);
    expect(await mails()).toEqual([true, true]);
  });

  it('and nobody keeps others from inviting somebody', async () => {
    for (let n = 0; n < 20; n += 1) await put('crowd', await newTeam('crowd'), 'popular');
    await expect(put('crowd', await newTeam('crowd'), 'popular')).rejects.toMatchObject({
      code: 'forbidden',
      detail: expect.stringContaining('You have 20 open invitations for them') as string,
    });
    expect(await put('fair', await newTeam('fair'), 'popular')).toMatchObject({ invited: true });
    expect(await received('popular')).toHaveLength(21);
  });
});
