import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { actingFor, messageOf, startOnNewDatabase } from './harness.ts';

let sync: Awaited<ReturnType<typeof startOnNewDatabase>>;
beforeAll(async () => {
  sync = await startOnNewDatabase();
});
afterAll(() => sync.stop());

const origin = { device: { id: 'laptop', platform: 'web', name: '' } };

const talkOf = (user: string) => {
  const ctx = actingFor(user);
  const texts = async (conversationId: string, limit = 200): Promise<string[]> => {
    const pages: string[][] = [];
    let cursor = '';
    do {
      const page = await sync.gateway.listMessages({ space: 'personal', conversationId, limit, cursor }, ctx);
      pages.unshift(page.items.map(({ text }) => text));
      cursor = page.next;
    } while (cursor !== '');
    return pages.flat();
  };
  return {
    texts,
    say: (text: string, conversationId = '') =>
      sync.gateway.appendMessage(messageOf(text, { conversationId, reply: false }), ctx),
    fork: async (conversationId: string, messageId: string, more: object = {}, key?: string) => {
      const { conversation } = await sync.gateway.forkConversation(
        { space: 'personal', conversationId, messageId, title: '', reason: '', origin, ...more },
        key === undefined ? ctx : { ...ctx, idempotencyKey: key },
      );
      if (!conversation) throw new Error('no conversation');
      return conversation;
    },
    rename: (conversationId: string, title: string, reason = '') =>
      sync.gateway.renameConversation({ space: 'personal', conversationId, title, reason, origin }, ctx),
    lastEvent: async () => {
      const { events } = await sync.gateway.readEvents(
        { space: 'personal', epoch: '', after: 0, limit: 0 },
        ctx,
      );
      return JSON.parse(events.at(-1)?.json ?? '{}') as object;
    },
  };
};

describe('a fork', () => {
  it('goes on from a message, also of another fork; both conversations keep their own', async () => {
    const { say, fork, texts } = talkOf('forker');
    const one = await say('one');
    const two = await say('two');
    await say('three');
    const fork1 = await fork(one.conversationId, two.messageId);
    expect(fork1).toMatchObject({
      ...{ title: 'one', parent: one.conversationId, forkedAt: two.messageId, head: two.messageId, count: 2 },
    });
    const other = await say('other', fork1.id);
    await say('four', one.conversationId);
    // From a message of the fork's own, and from one it has from the first conversation.
    const fork2 = await fork(fork1.id, other.messageId, { title: 'Mine' });
    await say('deep', fork2.id);
    const fork3 = await fork(fork2.id, one.messageId);
    await say('late', fork3.id);
    const expected: [string, string[]][] = [
      [one.conversationId, ['one', 'two', 'three', 'four']],
      [fork1.id, ['one', 'two', 'other']],
      [fork2.id, ['one', 'two', 'other', 'deep']],
      [fork3.id, ['one', 'late']],
    ];
    for (const [id, said] of expected)
      for (const limit of [1, 2, 200]) expect(await texts(id, limit)).toEqual(said);
    const { items } = await sync.gateway.listConversations(
      { space: 'personal', limit: 0, cursor: '' },
      actingFor('forker'),
    );
    expect(new Map(items.map(({ id, count }) => [id, count]))).toEqual(
      new Map(expected.map(([id, said]) => [id, said.length])),
    );
  });

  it('is what the agent answers from', async () => {
    const { say, fork } = talkOf('asker');
    const one = await say('one');
    const made = await fork(one.conversationId, one.messageId);
    const { items } = await sync.agent.listMessages(
      { space: 'personal', conversationId: made.id, limit: 0, cursor: '' },
      actingFor('asker'),
    );
    expect(items.map(({ text }) => text)).toEqual(['one']);
  });

  it('is made once per idempotency key, and tells in the log who made it, on which device and why', async () => {
    const { say, fork, lastEvent } = talkOf('keyed');
    const one = await say('one');
    const made = await fork(one.conversationId, one.messageId, { reason: 'try again' }, 'k');
    expect(await fork(one.conversationId, one.messageId, { reason: 'try again' }, 'k')).toEqual(made);
    const two = await say('two', one.conversationId);
    await expect(fork(one.conversationId, two.messageId, {}, 'k')).rejects.toMatchObject({
      code: 'idempotency_mismatch',
    });
    await fork(one.conversationId, two.messageId, { reason: 'because' });
    expect(await lastEvent()).toMatchObject({
      type: 'conversation.forked',
      actor: { kind: 'user', user: 'keyed', device: 'laptop', platform: 'web' },
      data: { parent: one.conversationId, messageId: two.messageId, count: 2, reason: 'because' },
    });
  });

  it('needs a message that is in the conversation', async () => {
    const { say, fork } = talkOf('lost');
    const one = await say('one');
    const early = await fork(one.conversationId, one.messageId);
    const two = await say('two', one.conversationId);
    const wrong: [string, string][] = [
      [early.id, two.messageId],
      [one.conversationId, early.id],
      [two.messageId, two.messageId],
      ['nowhere', two.messageId],
      [one.conversationId, 'nothing'],
    ];
    for (const [conversation, message] of wrong)
      await expect(fork(conversation, message)).rejects.toMatchObject({ code: 'not_found' });
    const foreign = await talkOf('somebody').say('theirs');
    await expect(fork(foreign.conversationId, foreign.messageId)).rejects.toMatchObject({
      code: 'not_found',
    });
  });

  it('of a fork of a fork has an end', async () => {
    const { say, fork } = talkOf('deep');
    let { conversationId, messageId } = await say('m0');
    for (let depth = 1; depth <= 32; depth += 1) {
      conversationId = (await fork(conversationId, messageId)).id;
      messageId = (await say(`m${depth}`, conversationId)).messageId;
    }
    await expect(fork(conversationId, messageId)).rejects.toMatchObject({ code: 'invalid_request' });
  });
});

describe('a new title', () => {
  it('is in the log with who, where and why; the same one again changes nothing', async () => {
    const { say, rename, lastEvent } = talkOf('namer');
    const { conversationId } = await say('one');
    const { conversation } = await rename(conversationId, 'Plans', 'clearer');
    expect(conversation).toMatchObject({ id: conversationId, title: 'Plans', count: 1 });
    const renamed = await lastEvent();
    expect(renamed).toMatchObject({
      type: 'conversation.renamed',
      actor: { user: 'namer', device: 'laptop' },
      data: { conversationId, title: 'Plans', reason: 'clearer' },
    });
    await rename(conversationId, 'Plans');
    expect(await lastEvent()).toEqual(renamed);
  });

  it('is for a conversation that is there, and is not empty', async () => {
    const { say, rename } = talkOf('strict');
    const { conversationId, messageId } = await say('one');
    await expect(rename(messageId, 'T')).rejects.toMatchObject({ code: 'not_found' });
    await expect(rename('x', 'T')).rejects.toMatchObject({ code: 'not_found' });
    await expect(rename(conversationId, '')).rejects.toMatchObject({ code: 'invalid_request' });
    const foreign = await talkOf('another').say('theirs');
    await expect(rename(foreign.conversationId, 'T')).rejects.toMatchObject({ code: 'not_found' });
  });
});
