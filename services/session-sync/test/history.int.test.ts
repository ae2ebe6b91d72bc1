import { originPosition } from '@skein/events';
import { openDatabase } from '@skein/postgres';
import { createLogger } from '@skein/telemetry';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { eventLogSource } from '../src/adapters/event-log-source.ts';
import { migrations } from '../src/adapters/schema.ts';
import { personalSpaceId } from '../src/app/personal-space.ts';
import { actingFor, asService, messageOf, startOnNewDatabase } from './harness.ts';
import { forged } from './writing.ts';

let sync: Awaited<ReturnType<typeof startOnNewDatabase>>;
beforeAll(async () => {
  sync = await startOnNewDatabase();
});
afterAll(() => sync.stop());

const list = (user: string, more: object = {}) =>
  sync.gateway.listMessages(
    { space: 'personal', conversationId: '', limit: 0, cursor: '', ...more },
    actingFor(user),
  );

describe('conversations', () => {
  it('are made once per idempotency key and listed by their newest change', async () => {
    const ctx = actingFor('planner');
    const create = (title: string, idempotencyKey: string) =>
      sync.gateway.createConversation({ space: 'personal', title, idempotencyKey, origin: undefined }, ctx);
    const first = await create('Work', 'k1');
    expect(await create('Work', 'k1')).toEqual(first);
    await expect(create('Other', 'k1')).rejects.toMatchObject({ code: 'idempotency_mismatch' });
    const second = await create('Home', '');
    await sync.gateway.appendMessage(
      messageOf('hello', { conversationId: first.conversation?.id ?? '', reply: false }),
      ctx,
    );
    const pages = [];
    let cursor = '';
    do {
      const page = await sync.gateway.listConversations({ space: 'personal', limit: 1, cursor }, ctx);
      pages.push(...page.items);
      cursor = page.next;
    } while (cursor !== '');
    expect(pages.map(({ title, count }) => [title, count])).toEqual([
      ['Work', 1],
      ['Home', 0],
    ]);
    expect(second.offset).toBe(2);
    for (const made of [
      [1, 'x'],
      [1.5, second.conversation?.id],
      [2 ** 60, second.conversation?.id],
    ])
      await expect(
        sync.gateway.listConversations({ space: 'personal', limit: 1, cursor: forged(made) }, ctx),
      ).rejects.toMatchObject({ code: 'invalid_request' });
  });

  it('hold the answers beside the questions, oldest first, and page back to the beginning', async () => {
    const ctx = actingFor('talker');
    const space = personalSpaceId('talker');
    for (const text of ['one', 'two', 'three']) {
      const { turnId } = await sync.gateway.appendMessage(messageOf(text), ctx);
      await sync.agent.endTurn(
        { space, turnId, outcome: 'completed', text: `re: ${text}`, errorCode: '', metaJson: '' },
        asService(),
      );
    }
    const last = await list('talker', { limit: 4 });
    expect(last.items.map(({ role, text }) => [role, text])).toEqual([
      ['user', 'two'],
      ['assistant', 're: two'],
      ['user', 'three'],
      ['assistant', 're: three'],
    ]);
    const first = await list('talker', { limit: 4, cursor: last.next });
    expect(first.items.map(({ text }) => text)).toEqual(['one', 're: one']);
    expect(first.next).toBe('');
    await expect(list('talker', { cursor: 'made up' })).rejects.toMatchObject({ code: 'invalid_request' });
  });

  it('are found by words and by Chinese, the best match first, and only in this space', async () => {
    const ctx = actingFor('searcher');
    for (const text of [
      '我的血压最近有点高',
      '今天天气很好',
      'Remember to measure the blood pressure on Monday',
      '100% sure_thing',
    ])
      await sync.gateway.appendMessage(messageOf(text, { reply: false }), ctx);
    await sync.gateway.appendMessage(messageOf('血压', { reply: false }), actingFor('somebody else'));
    const find = async (query: string) => {
      const { items } = await sync.agent.searchMessages({ space: 'personal', query, limit: 0 }, ctx);
      return items.map(({ text }) => text);
    };
    expect(await find('血压高吗')).toEqual(['我的血压最近有点高']);
    expect(await find('BLOOD pressure')).toEqual(['Remember to measure the blood pressure on Monday']);
    expect(await find('天气 pressure')).toHaveLength(2);
    expect(await find('%')).toEqual([]);
    expect(await find('cholesterol')).toEqual([]);
  });
});

describe('a snapshot', () => {
  it('is the state at one offset, in parts that fit a frame', async () => {
    const ctx = actingFor('snapper');
    for (let n = 0; n < 3; n += 1)
      await sync.gateway.createConversation(
        { space: 'personal', title: `C${n}`, idempotencyKey: '', origin: undefined },
        ctx,
      );
    const parts = [];
    for await (const part of sync.gateway.readSnapshot({ space: 'personal', at: '' }, ctx)) parts.push(part);
    expect(parts.map(({ part, parts: all, offset }) => [part, all, offset])).toEqual([[1, 1, 3]]);
    const state = JSON.parse(parts[0]?.json ?? '');
    expect(state).toMatchObject({ documents: [], stateHash: '1:0000000000000000' });
    expect(state.conversations.map(({ title }: { title: string }) => title)).toEqual(['C0', 'C1', 'C2']);
  });
});

describe('the log as outbox', () => {
  it('gives message events with ids only, in order, and nothing else', async () => {
    const ctx = actingFor('publisher');
    const space = personalSpaceId('publisher');
    const { turnId, messageId, conversationId } = await sync.gateway.appendMessage(
      messageOf('secret words'),
      ctx,
    );
    await sync.agent.startTurn({ space, turnId }, asService());
    await sync.agent.endTurn(
      { space, turnId, outcome: 'completed', text: 'more secrets', errorCode: '', metaJson: '' },
      asService(),
    );
    const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });
    const database = openDatabase(
      { url: sync.databaseUrl, schema: 'session_sync', migrations, applicationName: 'test' },
      { log },
    );
    await database.run();
    try {
      const rows: Awaited<ReturnType<typeof eventLogSource.read>>[number][] = [];
      let position = originPosition;
      const mine = () => rows.flatMap(({ event }) => (event?.subject === space ? [event] : []));
      // Open transactions anywhere in the cluster, of other tests too, hold the reader back for a while.
      await vi.waitFor(async () => {
        const page = await eventLogSource.read(database, position, 2);
        rows.push(...page);
        position = page.at(-1)?.position ?? position;
        expect(mine()).toHaveLength(2);
      }, 15_000);
      const events = mine();
      expect(events.map(({ type, data }) => [type, data])).toEqual([
        [
          'message.created',
          { space, offset: 2, messageId, conversationId, userId: 'publisher', turnId, persona: 'cruz' },
        ],
        ['message.completed', expect.objectContaining({ space, offset: 4, turnId })],
      ]);
      expect(JSON.stringify(events)).not.toContain('secret');
      const early = await eventLogSource.before(database, 0);
      expect((await eventLogSource.read(database, early, 1))[0]).toEqual(rows[0]);
      const end = await eventLogSource.before(database, Date.now() + 3_600_000);
      expect(await eventLogSource.read(database, end, 10)).toEqual([]);
    } finally {
      await database.stop();
    }
  });
});
