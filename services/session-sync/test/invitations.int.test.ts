import type { syncV1 } from '@skein/contracts';
import { deriveContext } from '@skein/rpc';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  actingFor,
  admit,
  asService,
  messageOf,
  type Running,
  startOnNewDatabase,
  startSync,
} from './harness.ts';
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
      'member.invited',
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
    expect((await logOf('bob', space)).head).toBe(4);
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
    await admit(sync, 'maker', { space, userId: 'heir', role: 'owner' });
    await admit(sync, 'maker', { space, userId: 'maker', role: 'viewer' });
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
    await admit(sync, 'strict', { space, userId: 'ed', role: 'editor' });
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
    expect(await invite('strict', space, {}, 'k')).toEqual(first);
  });
});

describe('a person whom an owner gives a role', () => {
  const put = (owner: string, space: string, userId: string, role = 'editor') =>
    sync.gateway.putMember({ space, userId, role }, actingFor(owner));
  const received = async (user: string, limit = 0, cursor = '') =>
    sync.gateway.listReceivedInvitations({ limit, cursor }, actingFor(user));
  const decline = (user: string, code: string, email = '') =>
    sync.gateway.declineInvitation({ code, email }, actingFor(user));

  it('comes in only by accepting: until then nothing of the space is theirs, nor anything of them in it', async () => {
    const space = await newTeam('lead');
    expect(await put('lead', space, 'shy', 'owner')).toEqual({
      ...{ member: { userId: 'shy', role: 'owner' }, invited: true },
    });
    expect(await membersOf('lead', space)).toHaveLength(1);
    await expect(logOf('shy', space)).rejects.toMatchObject({ code: 'not_found' });
    expect(JSON.stringify((await logOf('lead', space)).events)).not.toContain('shy');
    const { items } = await received('shy');
    expect(items).toMatchObject([
      { space, title: 'Team', invitation: { role: 'owner', userId: 'shy', email: '', createdBy: 'lead' } },
    ]);
    const code = items[0]?.invitation?.code ?? '';
    // The code alone opens nothing for others, whatever their address.
    for (const attempt of [accept, read, decline])
      await expect(attempt('eve', code)).rejects.toMatchObject(invalid);
    expect(await read('shy', code)).toMatchObject({ title: 'Team', role: 'owner' });
    expect(await accept('shy', code)).toMatchObject({ space: { id: space, role: 'owner' } });
    expect((await received('shy')).items).toEqual([]);
    // Who is in gets another role at once, without being asked.
    expect(await put('lead', space, 'shy', 'viewer')).toMatchObject({ invited: false });
    expect((await membersOf('lead', space)).map(({ role }) => role)).toEqual(['owner', 'viewer']);
  });

  it('may decline, for good until somebody asks again; an open code is nobody’s to decline', async () => {
    const space = await newTeam('asker');
    await put('asker', space, 'busy');
    const code = async () => (await received('busy')).items[0]?.invitation?.code ?? '';
    const declined = await code();
    await decline('busy', declined);
    expect((await received('busy')).items).toEqual([]);
    await expect(accept('busy', declined)).rejects.toMatchObject(invalid);
    const mailed = await invite('asker', space, { email: 'busy@example.org' });
    await decline('busy', mailed.code, 'Busy@example.org');
    await expect(accept('busy', mailed.code)).rejects.toMatchObject(invalid);
    const open = await invite('asker', space);
    await expect(decline('busy', open.code)).rejects.toMatchObject({ code: 'forbidden' });
    await put('asker', space, 'busy');
    expect(await accept('busy', await code())).toMatchObject({ space: { id: space } });
  });

  it('is asked once: again changes nothing, another role replaces the first, taking back ends it', async () => {
    const space = await newTeam('chief');
    await put('chief', space, 'one');
    await put('chief', space, 'one');
    const first = (await received('one')).items;
    await put('chief', space, 'one', 'viewer');
    const second = (await received('one')).items;
    expect([...first, ...second].map(({ invitation }) => invitation?.role)).toEqual(['editor', 'viewer']);
    await expect(accept('one', first[0]?.invitation?.code ?? '')).rejects.toMatchObject(invalid);
    expect((await logOf('chief', space)).types).toEqual(['member.invited', 'member.invited']);
    const id = second[0]?.invitation?.id ?? '';
    await sync.gateway.revokeInvitation({ space, invitationId: id }, actingFor('chief'));
    expect((await received('one')).items).toEqual([]);
    await put('chief', space, 'two');
    await put('chief', space, 'three');
    // Whose maker may let nobody in any more is not shown.
    await admit(sync, 'chief', { space, userId: 'next', role: 'owner' });
    await admit(sync, 'next', { space, userId: 'chief', role: 'viewer' });
    expect((await received('two')).items).toEqual([]);
  });

  it('is not asked without end, nor are strangers: a day, a space and a person have their bounds', async () => {
    const [space, other] = [await newTeam('spammer'), await newTeam('spammer')];
    const first = () =>
      sync.gateway.putMember(
        { space, userId: 'stranger-0', role: 'editor' },
        deriveContext(actingFor('spammer'), { idempotencyKey: 'k' }),
      );
    await first();
    for (let n = 1; n < 60; n += 1) await put('spammer', space, `stranger-${n}`);
    for (let n = 0; n < 40; n += 1) {
      const { id } = await invite('spammer', other, { email: `n${n}@example.org` });
      // Taking it back does not take back the mail.
      await sync.gateway.revokeInvitation({ space: other, invitationId: id }, actingFor('spammer'));
    }
    const wait = { code: 'rate_limited', retryAfterMs: expect.any(Number) };
    await expect(put('spammer', other, 'one-more')).rejects.toMatchObject(wait);
    await expect(invite('spammer', other, { email: 'one@more.example' })).rejects.toMatchObject(wait);
    // What comes again is not one more.
    expect(await first()).toMatchObject({ invited: true });
    // A code that one passes on oneself is no mail, and a role of a member no invitation.
    await accept('friend', (await invite('spammer', other)).code);
    await put('spammer', other, 'friend', 'viewer');
    // Nobody else learns how many there are.
    await expect(put('nobody', other, 'one-more')).rejects.toMatchObject({ code: 'not_found' });
    nowMs += 24 * 3_600_000;
    await put('spammer', other, 'one-more');
    const pages = [await received('one-more', 1)];
    expect(pages[0]).toMatchObject({ items: [{ space: other }], next: '' });
  }, 60_000);
});

describe('an invitation that is to be mailed', () => {
  it('is told to the user service alone, as long as it can be used', async () => {
    const space = await newTeam('sender');
    const { id, code } = await invite('sender', space, { email: 'reader@example.org' });
    const lookUp = (as = sync.as('user')) => as.lookUpInvitation({ invitationId: id }, asService());
    expect(await lookUp()).toMatchObject({
      found: { space, title: 'Team', invitation: { code, email: 'reader@example.org', createdBy: 'sender' } },
    });
    await expect(lookUp(sync.gateway)).rejects.toMatchObject({ code: 'forbidden' });
    await accept('reader', code);
    await expect(lookUp()).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('roles', () => {
  it('are asked for at every write: viewers write nothing, editors everything but members', async () => {
    const space = await newTeam('own');
    for (const [userId, role] of [
      ['edi', 'editor'],
      ['vic', 'viewer'],
      ['out', 'viewer'],
    ] as const)
      await admit(sync, 'own', { space, userId, role });
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
      removal: (user) => sync.gateway.removeMember({ space, userId: 'out' }, actingFor(user)),
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
