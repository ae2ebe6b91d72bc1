import { describe, expect, it } from 'vitest';
import { mergePage, readMessagePage } from '../src/messages.ts';
import type { Conversation } from '../src/model.ts';

const page = (ids: number[], next?: string) =>
  readMessagePage({
    items: ids.map((n) => ({
      id: `m${n}`,
      role: 'user',
      text: `m${n}`,
      time: new Date(n * 1_000).toISOString(),
    })),
    ...(next === undefined ? {} : { next }),
  });
const having = (ids: number[], history: Conversation['history'], older?: string): Conversation => ({
  id: 'c1',
  title: '',
  count: ids.length,
  updatedMs: 0,
  messages: page(ids).items,
  history,
  ...(older === undefined ? {} : { older }),
});
const ids = (c: Conversation) => c.messages.map((m) => m.id).join(' ');

describe('a page of messages', () => {
  it('fills a conversation of which only new events were seen', () => {
    const merged = mergePage(having([5], 'none'), page([3, 4, 5], 'more'), true);
    expect(ids(merged)).toBe('m3 m4 m5');
    expect(merged).toMatchObject({ history: 'loaded', older: 'more' });
  });

  it('joins cached messages it touches', () => {
    expect(ids(mergePage(having([1, 2], 'stale'), page([2, 3, 4], 'more'), true))).toBe('m1 m2 m3 m4');
  });

  it('replaces cached messages it does not touch, so that no hole is shown as none', () => {
    expect(ids(mergePage(having([1, 2], 'stale'), page([7, 8], 'more'), true))).toBe('m7 m8');
  });

  it('keeps what it does not touch when there is nothing older on the server', () => {
    expect(ids(mergePage(having([1, 2], 'stale'), page([7, 8]), true))).toBe('m1 m2 m7 m8');
  });

  it('shows items in the order of their time, whatever order they come in', () => {
    expect(ids(mergePage(having([], 'none'), page([3, 1, 2]), true))).toBe('m1 m2 m3');
  });

  it('keeps knowing that an answer was made offline when the list does not say so', () => {
    const own = having([1], 'stale');
    const offline = { ...own, messages: own.messages.map((m) => ({ ...m, offline: true })) };
    expect(mergePage(offline, page([1]), true).messages[0]?.offline).toBe(true);
  });
});
