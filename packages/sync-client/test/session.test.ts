import { describe, expect, it } from 'vitest';
import type { Link } from '../src/connection.ts';
import type { ChatMessage } from '../src/model.ts';
import { outboxMax } from '../src/outbox.ts';
import { createSession, type SessionDeps } from '../src/session.ts';
import {
  conversation,
  countingIds,
  epoch,
  FakeClock,
  fakeSockets,
  memoryStorage,
  settle,
  space,
} from '../src/testing.ts';

function rig(
  over: { tab?: ReturnType<typeof memoryStorage>; kept?: ReturnType<typeof memoryStorage> } & Partial<
    SessionDeps['rest']
  > = {},
) {
  const clock = new FakeClock();
  const sockets = fakeSockets();
  const tab = over.tab ?? memoryStorage();
  const kept = over.kept ?? memoryStorage();
  const made: string[] = [];
  const drafts: string[] = [];
  const refused: string[] = [];
  const unkept: string[] = [];
  let link: Link = { phase: 'idle' };
  const session = createSession({
    clock,
    random: () => 0.5,
    newId: countingIds(),
    openSocket: sockets.open,
    access: async () => ({ token: 't', expiresAtMs: clock.now() + 900_000 }),
    rest: {
      turn: over.turn ?? (() => Promise.reject(new Error('not asked for'))),
      messages: over.messages ?? (async () => ({ items: [] })),
      createConversation:
        over.createConversation ??
        (async (_space, title, key) => {
          made.push(`${key}: ${title}`);
          return 'c1';
        }),
    },
    user: 'u1',
    device: { id: 'd1', platform: 'web' },
    tab,
    kept,
    key: 'u1.d1',
    onChange: () => {},
    onLink: (next) => {
      link = next;
    },
    onDraft: (draft, id) => drafts.push(`${draft} is ${id}`),
    onRefused: (code) => refused.push(code),
    onUnkept: () => unkept.push('told'),
    rename: () => ({ device: { id: 'd2', platform: 'web' }, key: 'u1.d2' }),
  });
  let offset = 0;
  const connect = async (recovered: boolean): Promise<void> => {
    await settle();
    sockets.last().events.opened();
    sockets.last().push({
      type: 'welcome',
      connection: `k${sockets.all.length}`,
      user: 'u1',
      device: 'd1',
      streams: [{ space, epoch, offset, recovered }],
      pingMs: 25_000,
    });
    if (!recovered)
      sockets.last().push({
        type: 'snapshot',
        space,
        epoch,
        offset,
        part: 1,
        parts: 1,
        documents: [],
        conversations: [],
      });
    await settle();
  };
  const event = (type: string, data: Record<string, unknown>): void => {
    offset++;
    sockets.last().push({
      type: 'event',
      space,
      epoch,
      offset,
      event: { id: `ev-${offset}`, type, time: '2026-01-01T00:00:00.000Z', actor: {}, data },
    });
  };
  const texts = () =>
    sockets
      .last()
      .of('message')
      .map((frame) => frame['text']);
  return {
    clock,
    sockets,
    tab,
    kept,
    made,
    drafts,
    unkept,
    session,
    connect,
    event,
    texts,
    link: () => link,
  };
}

describe('a session', () => {
  it('asks for a snapshot of the personal space at first, and resumes from its position after a loss', async () => {
    const r = rig();
    r.session.start();
    await r.connect(false);
    expect(r.sockets.last().sent[0]).toMatchObject({ type: 'hello', streams: [{ space: 'personal' }] });
    r.event('message.created', { messageId: 'm1', conversationId: 'c1', text: 'hi' });
    r.sockets.last().events.closed(1006, '');
    await r.clock.advance(250);
    await r.connect(true);
    expect(r.sockets.last().sent[0]).toMatchObject({
      streams: [{ space, epoch, offset: 1, lastId: 'ev-1' }],
    });
  });

  it('resumes after a reload with what it showed before', async () => {
    const before = rig();
    before.session.start();
    await before.connect(false);
    before.event('message.created', { messageId: 'm1', conversationId: 'c1', text: 'hi' });
    before.session.save();
    const after = rig({ tab: before.tab });
    after.session.start();
    expect(conversation(after.session.state).messages.map((m) => m.text)).toEqual(['hi']);
    await after.connect(true);
    expect(after.sockets.last().sent[0]).toMatchObject({
      streams: [{ space, epoch, offset: 1, lastId: 'ev-1' }],
    });
  });

  it('sends what was written offline in order, one after the other, each once', async () => {
    const r = rig();
    r.session.start();
    r.session.say('one', { conversationId: 'c1' });
    r.session.say('two', { conversationId: 'c1' });
    await r.connect(false);
    expect(r.texts()).toEqual(['one']);
    r.sockets.last().answer('message', { messageId: 'm1', conversationId: 'c1' });
    await settle();
    expect(r.texts()).toEqual(['one', 'two']);
    r.sockets.last().answer('message', { messageId: 'm2', conversationId: 'c1' });
    await settle();
    expect(r.texts()).toEqual(['one', 'two']);
  });

  it('sends a message whose answer was lost again under the same id', async () => {
    const r = rig();
    r.session.start();
    await r.connect(false);
    r.session.say('one', { conversationId: 'c1' });
    await settle();
    const first = r.sockets.last().of('message')[0];
    r.sockets.last().events.closed(1006, '');
    await r.clock.advance(250);
    await r.connect(true);
    await r.clock.advance(2_000);
    expect(r.sockets.last().of('message')).toHaveLength(1);
    expect(r.sockets.last().of('message')[0]?.['clientMessageId']).toBe(first?.['clientMessageId']);
  });

  it('keeps waiting messages over a closed page', async () => {
    const before = rig();
    before.session.start();
    before.session.say('written on the train', { conversationId: 'c1' });
    const after = rig({ kept: before.kept });
    after.session.start();
    await after.connect(false);
    expect(after.texts()).toEqual(['written on the train']);
  });

  it('makes a new conversation once, by its key, and puts everything written for it there', async () => {
    const r = rig();
    r.session.start();
    r.session.say('Plan the trip\nwith details', { draft: 'draft-1' });
    r.session.say('and the hotel', { draft: 'draft-1' });
    await r.connect(false);
    r.sockets.last().answer('message', {});
    await settle();
    expect(r.made).toEqual(['draft-1: Plan the trip']);
    expect(r.drafts).toEqual(['draft-1 is c1']);
    expect(
      r.sockets
        .last()
        .of('message')
        .map((frame) => frame['conversationId']),
    ).toEqual(['c1', 'c1']);
  });

  it('does not wait for the event of a message that a snapshot had before the answer came', async () => {
    const r = rig();
    r.session.start();
    await r.connect(false);
    r.session.say('one', { conversationId: 'c1' });
    await settle();
    const parts = { part: 1, parts: 1, documents: [], conversations: [] };
    r.sockets.last().push({ type: 'snapshot', space, epoch, offset: 1, ...parts });
    r.sockets.last().answer('message', { messageId: 'm1', conversationId: 'c1', offset: 1 });
    await settle();
    expect(r.session.state.outbox).toEqual([]);
  });

  it('waits as long as the server says when over the limit', async () => {
    const r = rig();
    r.session.start();
    await r.connect(false);
    r.session.say('one', { conversationId: 'c1' });
    await settle();
    r.sockets.last().refuse('message', { code: 'rate_limited', retryable: true, retryAfterMs: 3_000 });
    await r.clock.advance(2_999);
    expect(r.texts()).toHaveLength(1);
    await r.clock.advance(1);
    expect(r.texts()).toHaveLength(2);
  });

  it('shows a refused message as not sent, goes on with the next, and retries when asked', async () => {
    const r = rig();
    r.session.start();
    await r.connect(false);
    r.session.say('bad', { conversationId: 'c1' });
    r.session.say('good', { conversationId: 'c1' });
    await settle();
    r.sockets.last().refuse('message', { code: 'invalid_request', retryable: false });
    await settle();
    expect(r.session.state.outbox[0]).toMatchObject({ state: 'failed', errorCode: 'invalid_request' });
    expect(r.texts()).toEqual(['bad', 'good']);
    r.sockets.last().answer('message', {});
    await settle();
    r.session.retry(r.session.state.outbox[0]?.clientMessageId ?? '');
    await settle();
    expect(r.texts()).toEqual(['bad', 'good', 'bad']);
    r.session.discard(r.session.state.outbox[0]?.clientMessageId ?? '');
    expect(r.session.state.outbox.map((e) => e.text)).toEqual(['good']);
  });

  it('refuses more messages than may wait', () => {
    const r = rig();
    for (let i = 0; i < outboxMax; i++) expect(r.session.say(`m${i}`, { conversationId: 'c1' })).toBe(true);
    expect(r.session.say('one more', { conversationId: 'c1' })).toBe(false);
  });

  it('reads the turn once when tokens are missing', async () => {
    let reads = 0;
    const r = rig({
      turn: async (id) => {
        reads++;
        return { id, state: 'streaming', text: 'abcdef' };
      },
    });
    r.session.start();
    await r.connect(false);
    const token = { type: 'token', space, conversationId: 'c1', turnId: 't1', messageId: 'a1' };
    r.sockets.last().push({ ...token, from: 4, text: 'ef' });
    r.sockets.last().push({ ...token, from: 6, text: 'gh' });
    await settle();
    expect(reads).toBe(1);
    expect(conversation(r.session.state).messages[0]?.text).toBe('abcdef');
  });

  it('keeps what happened while a turn was read', async () => {
    const reading = Promise.withResolvers<{ id: string; state: string; text: string }>();
    const r = rig({ turn: () => reading.promise });
    r.session.start();
    await r.connect(false);
    const token = { type: 'token', space, conversationId: 'c1', turnId: 't1', messageId: 'a1' };
    r.sockets.last().push({ ...token, from: 4, text: 'ef' });
    r.event('conversation.created', { conversationId: 'c2', title: 'meanwhile' });
    reading.resolve({ id: 't1', state: 'streaming', text: 'abcdef' });
    await settle();
    expect(r.session.state.spaces[space]).toMatchObject({
      position: { offset: 1 },
      conversations: { c1: { messages: [{ text: 'abcdef' }] }, c2: { title: 'meanwhile' } },
    });
  });

  it('loads older messages in front of what it has', async () => {
    const message = (id: string, timeMs: number): ChatMessage => ({
      id,
      role: 'user',
      text: id,
      state: 'complete',
      timeMs,
      platform: '',
      persona: '',
      offline: false,
      edited: false,
      errorCode: '',
    });
    const r = rig({
      messages: async (_space, _id, cursor) =>
        cursor === undefined
          ? { items: [message('m3', 3), message('m4', 4)], next: 'older' }
          : { items: [message('m1', 1), message('m2', 2)] },
    });
    r.session.start();
    await r.connect(false);
    await r.session.loadMessages('c1', false);
    await r.session.loadMessages('c1', true);
    expect(conversation(r.session.state).messages.map((m) => m.id)).toEqual(['m1', 'm2', 'm3', 'm4']);
    expect(conversation(r.session.state).older).toBeUndefined();
  });

  it('asks again to follow a space after a gap until it is answered', async () => {
    const r = rig();
    r.session.start();
    await r.connect(false);
    r.sockets.last().push({
      type: 'event',
      space,
      epoch,
      offset: 5,
      event: { id: 'e', type: 'x', time: 0, actor: {}, data: {} },
    });
    await settle();
    expect(r.sockets.last().of('subscribe')).toMatchObject([{ space, epoch, offset: 0 }]);
    r.sockets.last().refuse('subscribe', { code: 'unavailable', retryable: true });
    await r.clock.advance(2_000);
    expect(r.sockets.last().of('subscribe')).toHaveLength(2);
    r.sockets.last().answer('subscribe');
    await r.clock.advance(10_000);
    expect(r.sockets.last().of('subscribe')).toHaveLength(2);
  });

  it('acknowledges how far it is, once per position', async () => {
    const r = rig();
    r.session.start();
    await r.connect(false);
    r.event('message.created', { messageId: 'm1', conversationId: 'c1', text: 'hi' });
    await r.clock.advance(5_000);
    r.sockets.last().push({ type: 'presence', space, devices: [] });
    await r.clock.advance(5_000);
    expect(r.sockets.last().of('ack')).toEqual([{ type: 'ack', space, offset: 1 }]);
  });

  it('refuses commands while offline instead of losing them', async () => {
    const r = rig();
    await expect(r.session.cancel('t1')).rejects.toMatchObject({ code: 'offline' });
  });

  it('says once when the browser refuses to keep what waits', () => {
    const r = rig();
    r.kept.full = true;
    r.session.say('one', { conversationId: 'c1' });
    r.session.say('two', { conversationId: 'c1' });
    expect(r.unkept).toEqual(['told']);
  });

  it('forgets everything it kept at sign-out', async () => {
    const r = rig();
    r.session.start();
    await r.connect(false);
    r.session.say('secret', { conversationId: 'c1' });
    r.session.stop({ forget: true });
    expect([...r.tab.values.keys(), ...r.kept.values.keys()]).toEqual([]);
  });
});
