import { describe, expect, it } from 'vitest';
import { cachedMessagesMax, loadCache, loadOutbox, saveCache, saveOutbox } from '../src/cache.ts';
import { emptyState } from '../src/model.ts';
import { apply, conversation, eventFrame, fresh, memoryStorage, space } from '../src/testing.ts';

const many = (count: number) =>
  apply(
    [
      eventFrame(1, 'conversation.created', { conversationId: 'c1' }),
      ...Array.from({ length: count }, (_, i) =>
        eventFrame(i + 2, 'message.created', { messageId: `m${i}`, conversationId: 'c1', text: `m${i}` }),
      ),
    ],
    fresh(),
  ).state;

describe('the kept state', () => {
  it('comes back with the position it stands for', () => {
    const storage = memoryStorage();
    saveCache(storage, 'k', many(3));
    const back = loadCache(storage, 'k');
    expect(back.spaces[space]?.position).toEqual({ epoch: 'e1', offset: 4, lastId: 'ev-4' });
    expect(conversation(back).messages).toHaveLength(3);
    expect(conversation(back).history).toBe('loaded');
  });

  it('keeps the newest messages of a long conversation and knows that older ones are missing', () => {
    const storage = memoryStorage();
    saveCache(storage, 'k', many(cachedMessagesMax + 10));
    const back = conversation(loadCache(storage, 'k'));
    expect(back.messages).toHaveLength(cachedMessagesMax);
    expect(back.messages.at(-1)?.id).toBe(`m${cachedMessagesMax + 9}`);
    expect(back.history).toBe('stale');
  });

  it('leaves nothing behind when the browser has no room, rather than an old position', () => {
    const storage = memoryStorage();
    saveCache(storage, 'k', many(1));
    storage.full = true;
    saveCache(storage, 'k', many(2));
    expect(loadCache(storage, 'k')).toEqual(emptyState);
  });

  it.each(['', 'no json', '{}', '{"version":0,"state":{}}', '[]', 'null'])('starts empty from %j', (text) => {
    const storage = memoryStorage();
    storage.setItem('k', text);
    expect(loadCache(storage, 'k')).toEqual(emptyState);
    expect(loadOutbox(storage, 'k')).toEqual([]);
  });

  it('lets messages that were under way wait again', () => {
    const storage = memoryStorage();
    const entry = {
      clientMessageId: 'a',
      target: { conversationId: 'c1' },
      text: 'a',
      queuedMs: 0,
      state: 'sending' as const,
    };
    saveOutbox(storage, 'k', [entry]);
    expect(loadOutbox(storage, 'k')).toEqual([{ ...entry, state: 'waiting' }]);
  });
});
