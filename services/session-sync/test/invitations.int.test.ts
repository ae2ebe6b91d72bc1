import type { syncV1 } from '@skein/contracts';
import { deriveContext } from '@skein/rpc';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { actingFor, messageOf, type Running, startOnNewDatabase, startSync } from './harness.ts';
import { forged, set, writing } from './writing.ts';

let nowMs = Date.now();
let sync: Running & { readonly databaseUrl: string };
let other: Running;
beforeAll(async () => {
  sync = await startOnNewDatabase({}, { clock: { now: () => nowMs } });
  other = await startSync(sync.databaseUrl, {}, { clock: { now: () => nowMs } });
});
afterAll(async () => {
  await other?.stop();
  await sync?.stop();
});

const { mutate, logOf } = writing(() => sync);

const newTeam = async (owner: string): Promise<string> => {
  const made = await sync.gateway.createSpace({ title: 'Team', idempotencyKey: '' }, actingFor(owner));
  return made.space?.id ?? '';
};
const invite = async (
  owner: string,
  space: string,
  more: Partial<syncV1.CreateInvitationRequest> = {},
  key?: string,
) => {
  const ctx = deriveContext(actingFor(owner), key === undefined ? {} : { idempotencyKey: key });
  const request = { space, role: 'editor', email: '', expiresInHours: 0, ...more };
  const { invitation } = await sync.gateway.createInvitation(request, ctx);
  if (!invitation) throw new Error('an invitation was made');
  return invitation;
};
const accept = (user: string, code: string, email = `${user}@example.org`, by: Running = sync) =>
  by.gateway.acceptInvitation({ code, email }, actingFor(user));
const read = (user: string, code: string, email = `${user}@example.org`) =>
  sync.gateway.readInvitation({ code, email }, actingFor(user));
const membersOf = async (user: string, space: string) =>
  (await sync.gateway.listMembers({ space, limit: 0, cursor: '' }, actingFor(user))).items;
const invalid = { code: 'not_found', detail: 'This invitation is not valid' };

describe('an invitation', () => {
  it('lets one person in who accepts it, with its role and the whole history', async () => {
    const space = await newTeam('ann');
    await sync.gateway.appendMessage(messageOf('before', { space, reply: false }), actingFor('ann'));
    const { code, id, expiresAtMs, createdAtMs } = await invite('ann', space, { role: 'viewer' });
    expect(code).toMatch(/^[A-Za-z0-9_-]{22}$/);
    expect(expiresAtMs - createdAtMs).toBe(7 * 24 * 3_600_000);
    // Nobody is in who has not accepted.
    expect(await membersOf('ann', space)).toHaveLength(1);
    expect(await read('bob', code)).toEqual({ title: 'Team', role: 'viewer', expiresAtMs });
    expect(await accept('bob', code)).toMatchObject({ space: { id: space, role: 'viewer', title: 'Team' } });
    const { events } = await logOf('bob', space);
    expect(events.map(({ type }) => type)).toEqual([
      'conversation.created',
      'message.created',
      'member.added',
    ]);
    expect(events.at(-1)).toMatchObject({
      actor: { user: 'bob' },
      data: { userId: 'bob', role: 'viewer', invitation: id, invitedBy: 'ann' },
    });
    // A second time it is the same for the same person, and nothing for anybody else.
    expect(await accept('bob', code)).toMatchObject({ space: { id: space } });
    await expect(accept('eve', code)).rejects.toMatchObject(invalid);
    await expect(read('eve', code)).rejects.toMatchObject(invalid);
    expect((await logOf('bob', space)).head).toBe(3);
  });

  it('for an address opens for an account of that address alone, and nobody learns more', async () => {
    const space = await newTeam('boss');
    const { code } = await invite('boss', space, { email: ' Carol@Example.org ' });
    for (const [user, email] of [
      ['mallory', 'mallory@example.org'],
      ['mallory', ''],
      ['mallory', 'carol@example.org.evil'],
    ] as const) {
      await expect(accept(user, code, email)).rejects.toMatchObject(invalid);
      await expect(read(user, code, email)).rejects.toMatchObject(invalid);
    }
    for (const wrong of ['nothing-like-a-code-at-all', '', '../../etc', 'x'.repeat(5_000), `${code}x`])
      await expect(read('mallory', wrong)).rejects.toMatchObject(invalid);
    // An address without any account gets the same answer as one with.
    const nobody = await invite('boss', space, { email: 'nobody@nowhere.example' });
    expect(Object.keys(nobody)).toEqual(
      Object.keys(await invite('boss', space, { email: 'boss@example.org' })),
    );
    expect(await accept('carol', code, 'CAROL@example.org')).toMatchObject({ space: { role: 'editor' } });
  });

  it('ends by time, by being taken back, and when its maker is no owner any more', async () => {
    const space = await newTeam('maker');
    const short = await invite('maker', space, { expiresInHours: 1 });
    const taken = await invite('maker', space);
    const dangling = await invite('maker', space);
    const list = async () =>
      (await sync.gateway.listInvitations({ space, limit: 0, cursor: '' }, actingFor('maker'))).items;
    expect((await list()).map(({ id }) => id)).toEqual([short, taken, dangling].map(({ id }) => id));
    await expect(
      sync.gateway.listInvitations({ space, limit: 0, cursor: forged(['x']) }, actingFor('maker')),
    ).rejects.toMatchObject({ code: 'invalid_request' });
    await sync.gateway.revokeInvitation({ space, invitationId: taken.id }, actingFor('maker'));
    await expect(
      sync.gateway.revokeInvitation({ space, invitationId: taken.id }, actingFor('maker')),
    ).rejects.toMatchObject({ code: 'not_found' });
    await expect(accept('dan', taken.code)).rejects.toMatchObject(invalid);
    nowMs += 3_600_000;
    await expect(accept('dan', short.code)).rejects.toMatchObject(invalid);
    expect((await list()).map(({ id }) => id)).toEqual([dangling.id]);
    const put = (userId: string, role: string) =>
      sync.gateway.putMember({ space, userId, role }, actingFor('maker'));
    await put('heir', 'owner');
    await put('maker', 'viewer');
    await expect(accept('dan', dangling.code)).rejects.toMatchObject(invalid);
    expect((await membersOf('maker', space)).map(({ userId }) => userId)).toEqual(['heir', 'maker']);
  });

  it('is used once, however many come with it at the same moment to whichever replica', async () => {
    for (let round = 0; round < 5; round += 1) {
      const space = await newTeam('door');
      const { code } = await invite('door', space);
      const people = ['p1', 'p2', 'p3', 'p4', 'p5', 'p6'].map((name) => `${name}-${round}`);
      const outcomes = await Promise.allSettled(
        people.map((user, at) => accept(user, code, '', at % 2 === 0 ? sync : other)),
      );
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      expect(await membersOf('door', space)).toHaveLength(2);
    }
  });

  it('is not spent by who is in already, and changes no role', async () => {
    const space = await newTeam('host');
    const { code } = await invite('host', space, { role: 'viewer' });
    expect(await accept('host', code)).toMatchObject({ space: { role: 'owner' } });
    expect(await accept('guest', code)).toMatchObject({ space: { role: 'viewer' } });
    // Who has left does not come back by it.
    await sync.gateway.removeMember({ space, userId: 'guest' }, actingFor('guest'));
    await expect(accept('guest', code)).rejects.toMatchObject(invalid);
  });

  it('is made by owners of a team space only, the same for the same key, and so many at most', async () => {
    const space = await newTeam('strict');
    await sync.gateway.putMember({ space, userId: 'ed', role: 'editor' }, actingFor('strict'));
    await expect(invite('ed', space)).rejects.toMatchObject({ code: 'forbidden' });
    await expect(invite('stranger', space)).rejects.toMatchObject({ code: 'not_found' });
    await expect(invite('strict', 'personal')).rejects.toMatchObject({ code: 'forbidden' });
    for (const more of [
      { role: 'owner' },
      { role: '' },
      { email: 'no address' },
      { email: `${'x'.repeat(300)}@example.org` },
      { expiresInHours: 721 },
      { expiresInHours: -1 },
    ])
      await expect(invite('strict', space, more)).rejects.toMatchObject({ code: 'invalid_request' });
    const request = { space, limit: 0, cursor: '' };
    await expect(sync.gateway.listInvitations(request, actingFor('ed'))).rejects.toMatchObject({
      code: 'forbidden',
    });
    const first = await invite('strict', space, {}, 'k');
    expect(await invite('strict', space, {}, 'k')).toEqual(first);
    await expect(invite('strict', space, { role: 'viewer' }, 'k')).rejects.toMatchObject({
      code: 'idempotency_mismatch',
    });
    for (let n = 1; n < 100; n += 1) await invite('strict', space);
    await expect(invite('strict', space)).rejects.toMatchObject({ code: 'forbidden' });
  });
});

describe('roles', () => {
  it('are asked for at every write: viewers write nothing, editors everything but members', async () => {
    const space = await newTeam('own');
    for (const [userId, role] of [
      ['edi', 'editor'],
      ['vic', 'viewer'],
    ] as const)
      await sync.gateway.putMember({ space, userId, role }, actingFor('own'));
    const note = (text: string, at: number) =>
      set(1, text, { collection: 'knowledge_base', baseVersion: 0, hlc: `00000000000${at}-0000-x` });
    await mutate('own', 'a', [note('one', 2)], space);
    const { results } = await mutate('edi', 'b', [note('two', 1)], space);
    const { conflictId } = results[0];
    const writes: Record<string, (user: string) => Promise<unknown>> = {
      message: (user) =>
        sync.gateway.appendMessage(messageOf(user, { space, reply: false }), actingFor(user)),
      conversation: (user) =>
        sync.gateway.createConversation(
          { space, title: user, idempotencyKey: '', origin: undefined },
          actingFor(user),
        ),
      session: (user) =>
        sync.gateway.changeSession({ space, persona: user, origin: undefined }, actingFor(user)),
      mutation: async (user) => {
        const answer = await mutate(user, `device of ${user}`, [set(1, user, { id: user })], space);
        const { outcome, code } = answer.results[0];
        if (outcome !== 'applied') throw Object.assign(new Error(code), { code });
      },
      resolution: (user) =>
        sync.gateway.resolveConflict(
          { space, conflictId, choice: 'client', version: 1, origin: undefined },
          actingFor(user),
        ),
      undo: async (user) => {
        await sync.gateway
          .undoConflict({ space, conflictId, origin: undefined }, actingFor(user))
          // It is resolved by then: who may undo is told so.
          .catch((error: { code: string }) => {
            if (error.code !== 'superseded') throw error;
          });
      },
    };
    const manages: Record<string, (user: string) => Promise<unknown>> = {
      member: (user) => sync.gateway.putMember({ space, userId: 'new', role: 'viewer' }, actingFor(user)),
      removal: (user) => sync.gateway.removeMember({ space, userId: 'new' }, actingFor(user)),
      invitation: (user) => invite(user, space),
    };
    const { head } = await logOf('own', space);
    for (const [name, write] of Object.entries({ ...writes, ...manages })) {
      await expect(write('vic'), name).rejects.toMatchObject({ code: 'forbidden' });
      await expect(write('nobody'), name).rejects.toMatchObject({ code: 'not_found' });
    }
    expect((await logOf('own', space)).head).toBe(head);
    for (const write of Object.values(writes)) await write('edi');
    for (const [name, manage] of Object.entries(manages)) {
      await expect(manage('edi'), name).rejects.toMatchObject({ code: 'forbidden' });
      await manage('own');
    }
    // Somebody whose role is taken away writes no more from that moment on.
    await sync.gateway.putMember({ space, userId: 'edi', role: 'viewer' }, actingFor('own'));
    await expect(writes['message']?.('edi')).rejects.toMatchObject({ code: 'forbidden' });
  });
});
