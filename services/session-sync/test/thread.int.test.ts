import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { personalSpaceId } from '../src/app/personal-space.ts';
import { actingFor, asService, messageOf, openLive, type Running, startOnNewDatabase } from './harness.ts';

let sync: Running;
beforeAll(async () => {
  sync = await startOnNewDatabase();
});
afterAll(() => sync.stop());

const laptop = { id: 'laptop', platform: 'web', name: 'Laptop' };
const typesOf = (events: readonly { type: string }[]) => events.map(({ type }) => type);

describe('a session', () => {
  it('makes the personal space at first touch, also when many touch it at once', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => sync.gateway.openSession({ device: laptop }, actingFor('first'))),
    );
    for (const { spaces } of answers)
      expect(spaces).toMatchObject([
        { id: personalSpaceId('first'), kind: 'personal', role: 'owner', head: 0, lastSeq: 0 },
      ]);
    expect(new Set(answers.map(({ spaces }) => spaces[0]?.epoch)).size).toBe(1);
  });

  it('answers not_found for a space one is not in', async () => {
    await sync.gateway.openSession({ device: laptop }, actingFor('owner'));
    const space = personalSpaceId('owner');
    await expect(sync.gateway.getSpace({ space }, actingFor('stranger'))).rejects.toMatchObject({
      code: 'not_found',
    });
    await expect(
      sync.gateway.appendMessage(messageOf('hello', { space }), actingFor('stranger')),
    ).rejects.toMatchObject({ code: 'not_found' });
  });

  it('refuses a call without a person', async () => {
    await expect(sync.gateway.getSpace({ space: 'personal' }, asService())).rejects.toMatchObject({
      code: 'unauthenticated',
    });
  });
});

describe('a message', () => {
  it('makes its conversation, takes its place in the log and names the turn that will answer', async () => {
    const ctx = actingFor('writer');
    const appended = await sync.gateway.appendMessage(messageOf('How are you today?'), ctx);
    expect(appended).toMatchObject({ offset: 2, duplicate: false, persona: 'cruz' });
    expect(appended.turnId).not.toBe('');
    const log = await sync.gateway.readEvents({ space: 'personal', epoch: '', after: 0, limit: 0 }, ctx);
    expect(typesOf(log.events)).toEqual(['conversation.created', 'message.created']);
    expect(JSON.parse(log.events[1]?.json ?? '')).toMatchObject({
      id: log.events[1]?.id,
      type: 'message.created',
      time: expect.any(Number),
      actor: { kind: 'user', user: 'writer', device: 'laptop', platform: 'web' },
      data: {
        messageId: appended.messageId,
        conversationId: appended.conversationId,
        role: 'user',
        clientMessageId: 'How are you today?',
        text: 'How are you today?',
        turnId: appended.turnId,
        persona: 'cruz',
      },
    });
  });

  it('is appended once however often it is sent, also at the same time', async () => {
    const ctx = actingFor('repeater');
    const answers = await Promise.all(
      Array.from({ length: 16 }, () => sync.gateway.appendMessage(messageOf('once'), ctx)),
    );
    expect(new Set(answers.map(({ messageId }) => messageId)).size).toBe(1);
    expect(new Set(answers.map(({ turnId }) => turnId)).size).toBe(1);
    expect(new Set(answers.map(({ answerMessageId }) => answerMessageId)).size).toBe(1);
    expect(answers.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
    const { head } = await sync.gateway.readEvents({ space: 'personal', epoch: '', after: 0, limit: 0 }, ctx);
    expect(head).toBe(2);
  });

  it('is refused when it is empty, too large or for an unknown conversation', async () => {
    const ctx = actingFor('careless');
    const send = (more: Parameters<typeof messageOf>[1]) =>
      sync.gateway.appendMessage(messageOf('text', more), ctx);
    await expect(send({ text: '' })).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(send({ text: 'é'.repeat(33_000) })).rejects.toMatchObject({ code: 'too_large' });
    await expect(send({ text: 'nul \u0000' })).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(send({ conversationId: crypto.randomUUID() })).rejects.toMatchObject({ code: 'not_found' });
    await expect(send({ conversationId: 'made up' })).rejects.toMatchObject({ code: 'not_found' });
    await expect(send({ attachmentsJson: '{' })).rejects.toMatchObject({ code: 'invalid_request' });
  });
});

describe('a turn', () => {
  const begin = async (user: string) => {
    const appended = await sync.gateway.appendMessage(messageOf('question'), actingFor(user));
    return { space: personalSpaceId(user), turnId: appended.turnId, appended };
  };
  const end = (place: { space: string; turnId: string }, outcome: string, text = 'the answer') =>
    sync.agent.endTurn({ ...place, outcome, text, errorCode: '', metaJson: '{"offline":true}' }, asService());

  it('starts once and ends once; whoever is second is told how it ended', async () => {
    const { appended, ...place } = await begin('asker');
    const started = await sync.agent.startTurn(place, asService());
    expect(started).toMatchObject({ messageId: appended.answerMessageId, offset: 3, ended: '' });
    expect(await sync.agent.startTurn(place, asService())).toEqual(started);
    const ends = await Promise.all([end(place, 'completed'), end(place, 'cancelled'), end(place, 'failed')]);
    expect(ends.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
    expect(new Set(ends.map(({ outcome }) => outcome)).size).toBe(1);
    expect(new Set(ends.map(({ offset }) => offset))).toEqual(new Set([4]));
    expect(await sync.agent.startTurn(place, asService())).toMatchObject({ ended: ends[0]?.outcome });
    const log = await sync.gateway.readEvents(
      { space: 'personal', epoch: '', after: 3, limit: 0 },
      actingFor('asker'),
    );
    expect(JSON.parse(log.events[0]?.json ?? '')).toMatchObject({
      actor: { kind: 'agent' },
      data: {
        turnId: place.turnId,
        text: 'the answer',
        role: 'assistant',
        persona: 'cruz',
        offline: true,
      },
    });
  });

  it('may only be started, ended and spoken by the agent', async () => {
    const { appended: _, ...place } = await begin('guarded');
    await expect(sync.gateway.startTurn(place, asService())).rejects.toMatchObject({ code: 'forbidden' });
    await expect(
      sync.gateway.endTurn(
        { ...place, outcome: 'failed', text: '', errorCode: '', metaJson: '' },
        asService(),
      ),
    ).rejects.toMatchObject({ code: 'forbidden' });
  });
});

describe('a call', () => {
  it('is for the services that make it, and for no other', async () => {
    const ctx = actingFor('reader');
    const query = { space: 'personal', query: 'keys', limit: 0 };
    await expect(sync.gateway.searchMessages(query, ctx)).rejects.toMatchObject({ code: 'forbidden' });
    await expect(sync.as('user').getSpace({ space: 'personal' }, ctx)).rejects.toMatchObject({
      code: 'forbidden',
    });
  });
});

describe('reading the log', () => {
  it('refuses a position that is not in it and says where it is', async () => {
    const ctx = actingFor('reader');
    await sync.gateway.appendMessage(messageOf('one', { reply: false }), ctx);
    const read = (epoch: string, after: number) =>
      sync.gateway.readEvents({ space: 'personal', epoch, after, limit: 0 }, ctx);
    const { epoch } = await read('', 0);
    await expect(read('other', 0)).rejects.toMatchObject({
      code: 'position_lost',
      meta: { epoch, head: '2', floor: '1' },
    });
    await expect(read(epoch, 3)).rejects.toMatchObject({ code: 'position_lost' });
    expect((await read(epoch, 2)).events).toEqual([]);
  });
});

describe('the live stream', () => {
  it('gives what was missed, then what happens, without a gap, and the tokens in between', async () => {
    const ctx = actingFor('watched');
    const space = personalSpaceId('watched');
    const first = await sync.gateway.appendMessage(messageOf('first'), ctx);
    const live = openLive(sync.gateway);
    live.follow(space, '', 0);
    await vi.waitFor(() => expect(live.eventsOf(space)).toHaveLength(2));
    expect(live.frames[0]).toMatchObject({
      $case: 'following',
      value: {
        space,
        after: 0,
        head: 2,
        turns: [{ turnId: first.turnId, messageId: first.answerMessageId }],
      },
    });
    const place = { space, turnId: first.turnId };
    await sync.agent.startTurn(place, asService());
    await vi.waitFor(() => expect(live.eventsOf(space)).toHaveLength(3));
    const tokens = { ...place, conversationId: first.conversationId, messageId: first.answerMessageId };
    await sync.agent.publishTokens({ ...tokens, from: 0, text: 'Hel' }, asService());
    await sync.agent.publishTokens({ ...tokens, from: 3, text: 'lo' }, asService());
    const said = () =>
      live.frames.flatMap((frame) => (frame.$case === 'tokens' ? [frame.value.text] : [])).join('');
    await vi.waitFor(() => expect(said()).toBe('Hello'));
    await sync.agent.endTurn(
      { ...place, outcome: 'completed', text: 'Hello', errorCode: '', metaJson: '' },
      asService(),
    );
    await vi.waitFor(() =>
      expect(typesOf(live.eventsOf(space))).toEqual([
        'conversation.created',
        'message.created',
        'turn.started',
        'message.completed',
      ]),
    );
    expect(live.eventsOf(space).map(({ offset }) => offset)).toEqual([1, 2, 3, 4]);
    live.close();
    await live.ended;
  });

  it('says that a position is lost instead of guessing', async () => {
    const ctx = actingFor('lost');
    const space = personalSpaceId('lost');
    await sync.gateway.appendMessage(messageOf('one', { reply: false }), ctx);
    const live = openLive(sync.gateway);
    live.follow(space, 'another epoch', 1);
    await vi.waitFor(() => expect(live.frames).toMatchObject([{ $case: 'lost', value: { space, head: 2 } }]));
    live.follow(space, '', 9);
    await vi.waitFor(() => expect(live.frames).toHaveLength(2));
    live.follow(crypto.randomUUID());
    await vi.waitFor(() => expect(live.frames[2]).toMatchObject({ $case: 'lost', value: { head: 0 } }));
    live.close();
    await live.ended;
  });

  it('is for gateways only', async () => {
    const live = openLive(sync.agent);
    live.follow(personalSpaceId('x'));
    await expect(live.ended).rejects.toMatchObject({ code: 'forbidden' });
  });
});
