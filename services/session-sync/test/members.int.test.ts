import { type Actor, type CallContext, rootContext } from '@skein/rpc';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
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
import { origin, set, writing } from './writing.ts';

let sync: Running;
beforeAll(async () => {
  sync = await startOnNewDatabase();
});
afterAll(() => sync.stop());

const { mutate, logOf } = writing(() => sync);

describe('team spaces', () => {
  it('have roles: viewers read, editors write, owners manage, the last owner stays', async () => {
    const owner = actingFor('boss');
    const { space } = await sync.gateway.createSpace({ title: 'Team', idempotencyKey: 'k' }, owner);
    const again = await sync.gateway.createSpace({ title: 'Team', idempotencyKey: 'k' }, owner);
    expect(again.space?.id).toBe(space?.id);
    await expect(sync.gateway.createSpace({ title: 'X', idempotencyKey: 'k' }, owner)).rejects.toMatchObject({
      code: 'idempotency_mismatch',
    });
    const id = space?.id ?? '';
    const put = (userId: string, role: string, ctx = owner) =>
      sync.gateway.putMember({ space: id, userId, role }, ctx);
    await admit(sync, 'boss', { space: id, userId: 'guest', role: 'viewer' });
    await admit(sync, 'boss', { space: id, userId: 'colleague', role: 'editor' });
    await expect(put('guest', 'owner', actingFor('colleague'))).rejects.toMatchObject({ code: 'forbidden' });
    await expect(put('boss', 'editor')).rejects.toMatchObject({ code: 'forbidden' });
    await expect(
      sync.gateway.appendMessage(messageOf('hi', { space: id }), actingFor('guest')),
    ).rejects.toMatchObject({ code: 'forbidden' });
    expect((await mutate('guest', 'phone', [set(1, 'x')], id)).results).toEqual([
      { seq: 1, outcome: 'rejected', code: 'forbidden' },
    ]);
    await sync.gateway.appendMessage(messageOf('hi', { space: id, reply: false }), actingFor('colleague'));
    expect((await logOf('guest', id)).types).toContain('message.created');
    const members = await sync.gateway.listMembers({ space: id, limit: 0, cursor: '' }, actingFor('guest'));
    expect(members.items).toEqual([
      { userId: 'boss', role: 'owner' },
      { userId: 'colleague', role: 'editor' },
      { userId: 'guest', role: 'viewer' },
    ]);
    await sync.gateway.removeMember({ space: id, userId: 'guest' }, actingFor('guest'));
    await expect(logOf('guest', id)).rejects.toMatchObject({ code: 'not_found' });
    await expect(sync.gateway.removeMember({ space: id, userId: 'boss' }, owner)).rejects.toMatchObject({
      code: 'forbidden',
    });
    expect((await logOf('boss', id)).types).toEqual([
      'member.invited',
      'member.added',
      'member.invited',
      'member.added',
      'conversation.created',
      'message.created',
      'member.removed',
    ]);
  });
});

describe('a member who is removed while an answer is made', () => {
  it('gets none: the turn fails, whether it is being started or ended', async () => {
    const owner = actingFor('chief');
    const { space } = await sync.gateway.createSpace({ title: 'Team', idempotencyKey: '' }, owner);
    const id = space?.id ?? '';
    const ask = async (text: string) => {
      await admit(sync, 'chief', { space: id, userId: 'leaver', role: 'editor' });
      const asked = await sync.gateway.appendMessage(messageOf(text, { space: id }), actingFor('leaver'));
      return { space: id, turnId: asked.turnId };
    };
    const leave = () => sync.gateway.removeMember({ space: id, userId: 'leaver' }, owner);
    const queued = await ask('one');
    await leave();
    expect(await sync.agent.startTurn(queued, asService())).toMatchObject({ ended: 'failed' });
    const running = await ask('two');
    expect(await sync.agent.startTurn(running, asService())).toMatchObject({ ended: '' });
    await leave();
    const end = {
      ...running,
      outcome: 'completed',
      text: 'secret',
      errorCode: '',
      metaJson: '{"by":"secret"}',
    };
    expect(await sync.agent.endTurn(end, asService())).toMatchObject({ outcome: 'failed', duplicate: false });
    const { types, events } = await logOf('chief', id);
    expect(types.filter((type) => type === 'turn.failed')).toHaveLength(2);
    expect(JSON.stringify(events)).not.toContain('secret');
  });
});

describe('a change of membership', () => {
  it('is told to the own space of whom it concerns, when it opens or closes a space to the person', async () => {
    const owner = actingFor('host');
    const live = openLive(sync.gateway);
    const told = (user: string) =>
      live.frames.flatMap((frame) =>
        frame.$case === 'ephemeral' && frame.value.space === personalSpaceId(user)
          ? [JSON.parse(frame.value.json) as unknown]
          : [],
      );
    for (const user of ['host', 'visitor']) {
      await sync.gateway.openSession({ device: { id: 'd', platform: 'web', name: '' } }, actingFor(user));
      live.follow(personalSpaceId(user));
    }
    await expect.poll(() => live.frames.filter(({ $case }) => $case === 'following')).toHaveLength(2);
    const { space } = await sync.gateway.createSpace({ title: 'Team', idempotencyKey: '' }, owner);
    const id = space?.id ?? '';
    await expect.poll(() => told('host')).toEqual([{ type: 'membership', user: 'host', space: id }]);
    const put = (role: string) => admit(sync, 'host', { space: id, userId: 'visitor', role });
    const opened = { type: 'membership', user: 'visitor', space: id };
    const waits = { type: 'status', kind: 'invitation', id: expect.any(String), state: 'open' };
    await put('viewer');
    await expect.poll(() => told('visitor')).toEqual([waits, opened, { ...waits, state: 'ended' }]);
    await put('editor');
    await put('editor');
    await sync.gateway.removeMember({ space: id, userId: 'visitor' }, owner);
    await expect.poll(() => told('visitor').slice(3)).toEqual([opened]);
    expect(told('host')).toHaveLength(1);
    live.close();
  });
});

describe('devices', () => {
  it('announce themselves once, are listed and can be removed', async () => {
    const ctx = actingFor('gadgets');
    const register = (id: string, platform: string) =>
      sync.gateway.registerPlatform({ origin: { device: { id, platform, name: '' } } }, ctx);
    await sync.gateway.openSession({ device: { id: 'phone', platform: 'web', name: '' } }, ctx);
    expect(await register('phone', 'web')).toMatchObject({ offset: 1 });
    expect(await register('phone', 'web')).toMatchObject({ offset: 0 });
    expect(await register('phone', 'telegram')).toMatchObject({ offset: 2 });
    const { items } = await sync.gateway.listDevices({}, ctx);
    expect(items).toMatchObject([{ device: { id: 'phone', platform: 'telegram' }, connected: false }]);
    await sync.gateway.removeDevice({ deviceId: 'phone' }, ctx);
    expect((await sync.gateway.listDevices({}, ctx)).items).toEqual([]);
    await expect(sync.gateway.removeDevice({ deviceId: 'phone' }, ctx)).rejects.toMatchObject({
      code: 'not_found',
    });
  });

  it('are listed with the logins and API tokens they came with, whatever those named at sign-in', async () => {
    const as = (more: Partial<Actor>) =>
      rootContext({ actor: { userId: 'travels', scopes: ['session'], ...more }, timeoutMs: 10_000 });
    const open = (id: string, ctx: CallContext) =>
      sync.gateway.openSession({ device: { id, platform: 'web', name: '' } }, ctx);
    const listed = async (deviceId?: string) => {
      const { items } = await sync.gateway.listDevices({ deviceId }, as({ sessionId: 's1' }));
      return items
        .map(({ device, sessionIds, tokenIds }) => [device?.id, sessionIds.toSorted(), tokenIds])
        .toSorted();
    };
    await Promise.all([
      open('laptop', as({ sessionId: 's1' })),
      open('laptop', as({ sessionId: 's2' })),
      open('bot', as({ tokenId: 't1' })),
    ]);
    await sync.gateway.registerPlatform({ origin: origin('tv') }, as({ sessionId: 's3' }));
    const laptop = ['laptop', ['s1', 's2'], []];
    expect(await listed()).toEqual([['bot', [], ['t1']], laptop, ['tv', ['s3'], []]]);
    expect(await listed('laptop')).toEqual([laptop]);
    await sync.gateway.removeDevice({ deviceId: 'laptop' }, as({ sessionId: 's1' }));
    expect(await listed('laptop')).toEqual([]);
    // A device of that name which comes later has nothing to do with what was removed.
    await open('laptop', as({ sessionId: 's4' }));
    expect(await listed('laptop')).toEqual([['laptop', ['s4'], []]]);
  });

  it('that are connected are seen by everybody who follows the space, and counted as reached', async () => {
    const space = personalSpaceId('present');
    const ctx = actingFor('present');
    await sync.gateway.openSession({ device: { id: 'phone', platform: 'web', name: '' } }, ctx);
    const live = openLive(sync.gateway);
    live.follow(space);
    for (const id of ['phone', 'laptop'])
      live.send({
        $case: 'attach',
        value: {
          userId: 'present',
          device: { id, platform: 'web', name: '' },
          spaces: [space],
          connection: '',
          opened: false,
        },
      });
    const present = () =>
      live.frames
        .flatMap((frame) =>
          frame.$case === 'presence' ? [frame.value.devices.map(({ device }) => device?.id)] : [],
        )
        .at(-1);
    await vi.waitFor(() => expect(present()).toEqual(['phone', 'laptop']));
    const changed = await sync.gateway.changeSession(
      { space: 'personal', persona: 'coordinator', origin: origin('phone') },
      ctx,
    );
    expect(changed.deliveredTo).toBe(1);
    live.send({ $case: 'detach', value: { userId: 'present', deviceId: 'laptop' } });
    await vi.waitFor(() => expect(present()).toEqual(['phone']));
    const { items } = await sync.gateway.listDevices({}, ctx);
    expect(items).toMatchObject([{ device: { id: 'phone' }, connected: true }]);
    live.send({
      $case: 'typing',
      value: { space, conversationId: 'c', userId: 'present', deviceId: 'phone' },
    });
    await vi.waitFor(() =>
      expect(live.frames).toContainEqual({
        $case: 'ephemeral',
        value: {
          space,
          json: JSON.stringify({
            type: 'typing',
            space,
            conversationId: 'c',
            user: 'present',
            device: 'phone',
          }),
        },
      }),
    );
    live.close();
    await live.ended;
  });
});
