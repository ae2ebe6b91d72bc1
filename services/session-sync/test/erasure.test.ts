import { type Json, sha256, valueHash } from '@skein/sync-core';
import { describe, expect, it } from 'vitest';
import { withoutSides } from '../src/domain/conflict-row.ts';
import { redaction, resultWithoutValue, stampsWithout } from '../src/domain/erasure.ts';
import { documentTrace } from '../src/domain/erasure-trace.ts';
import { keyOf } from '../src/domain/state.ts';

const hashOf = (value: Json) => valueHash(value, sha256);

describe('a document without one person', () => {
  const trace = (...versions: readonly [who: 'me' | 'other' | 'end', value: Json][]) => {
    const one = documentTrace();
    return versions.map(([who, value]) => one.next({ value, mine: who === 'me', restores: who === 'end' }));
  };

  it('loses what the person wrote, from the version on in which they wrote it', () => {
    expect(
      trace(
        ['other', { title: 'plan' }],
        ['me', { title: 'plan', note: 'mine' }],
        ['other', { title: 'our plan', note: 'mine', done: true }],
      ),
    ).toEqual([{ title: 'plan' }, { title: 'plan' }, { title: 'our plan', done: true }]);
  });

  it('keeps what others wrote into what the person made', () => {
    expect(
      trace(
        ['me', { list: { a: 'mine' }, empty: {} }],
        ['other', { list: { a: 'mine', b: 'theirs' }, empty: {} }],
      ),
    ).toEqual([{ empty: {} }, { list: { b: 'theirs' }, empty: {} }]);
  });

  it('knows an element of a list again where it has moved or was changed in part', () => {
    expect(
      trace(
        ['other', ['a', { text: 'b' }]],
        ['me', ['mine', 'a', { text: 'b' }]],
        ['other', ['a', { text: 'b', done: true }, 'mine', 'c']],
      ),
    ).toEqual([
      ['a', { text: 'b' }],
      ['a', { text: 'b' }],
      ['a', { text: 'b', done: true }, 'c'],
    ]);
  });

  it('does not get a text back by the end of a conflict, but by somebody who writes the same', () => {
    expect(trace(['me', { t: 'mine' }], ['other', { t: 'theirs' }], ['end', { t: 'mine' }]).at(-1)).toEqual(
      {},
    );
    expect(trace(['me', { t: 'mine' }], ['other', { t: 'theirs' }], ['other', { t: 'mine' }]).at(-1)).toEqual(
      {
        t: 'mine',
      },
    );
    const lost = documentTrace();
    lost.lost({ t: 'never stood' });
    lost.next({ value: { t: 'theirs' }, mine: false, restores: false });
    expect(lost.next({ value: { t: 'never stood' }, mine: false, restores: true })).toEqual({});
    expect([lost.holds(['never stood']), lost.holds({ x: 'theirs' })]).toEqual([true, false]);
  });

  it('has no names of fields and nothing others wrote as well among the texts of the person', () => {
    const one = documentTrace();
    one.lost({ title: 'lost', state: 'open' });
    one.next({ value: { title: 'mine' }, mine: true, restores: false });
    one.next({ value: { title: 'theirs', state: 'open' }, mine: false, restores: false });
    expect(one.holds({ title: 'another', state: 'open' })).toBe(false);
    for (const text of ['lost', 'mine']) expect(one.holds({ title: text })).toBe(true);
  });

  it('is nothing when nobody else had a part in it', () => {
    const mine = documentTrace();
    mine.next({ value: { a: 1 }, mine: true, restores: false });
    expect(mine.alone).toBe(true);
    mine.next({ value: { a: 2 }, mine: false, restores: false });
    expect([mine.alone, mine.last]).toEqual([false, { a: 2 }]);
  });

  it('is whose it is that writes it anew after it was deleted', () => {
    const one = documentTrace();
    one.next({ value: { a: 'x' }, mine: true, restores: false });
    one.deleted();
    expect(one.next({ value: { a: 'x' }, mine: false, restores: false })).toEqual({ a: 'x' });
  });
});

describe('a conflict of which a side is erased', () => {
  const conflict = {
    winner: 'server',
    serverValue: '"stood"',
    clientValue: '"lost"',
    clientHash: 'h',
  } as const;
  const left = (state: 'open' | 'settled' | 'resolved', side: string) =>
    withoutSides({ ...conflict, state }, (text) => text === side);

  it('is gone with what could have come back, and is only a memory once it has ended', () => {
    expect(left('settled', '"lost"')).toBeUndefined();
    expect(left('open', '"lost"')).toBeUndefined();
    const ended = { state: 'resolved', serverValue: '"stood"', clientValue: null, clientHash: '' };
    expect(left('resolved', '"lost"')).toEqual(ended);
  });

  it('lets nobody choose what is erased, and keeps what can still come back', () => {
    const settled = { state: 'settled', serverValue: null, clientValue: '"lost"', clientHash: 'h' };
    expect([left('open', '"stood"'), left('settled', '"stood"')]).toEqual([settled, settled]);
    expect(left('open', '"other"')).toMatchObject({ state: 'open', serverValue: '"stood"' });
  });
});

describe('a log without one person', () => {
  const me = { kind: 'user', user: 'me', device: 'my phone', platform: 'my platform' };
  const other = { kind: 'user', user: 'other', device: 'd', platform: 'web' };
  const key = keyOf('task', 't1');
  const fresh = () =>
    redaction({
      ...{ userId: 'me', turns: new Set(['turn-1']) },
      ...{ documents: new Set([key]), lost: [], hashOf },
    });
  const redact = (events: readonly (readonly [actor: object, type: string, data: object])[]) => {
    const logged = events.map(([actor, type, data], at) => ({
      ...{ offset: at + 1, type },
      json: JSON.stringify({ id: `e${at}`, type, time: at, actor, data }),
    }));
    const once = fresh();
    const now = logged.map((event) => once.event(event));
    const twice = fresh();
    for (const [at, event] of logged.entries())
      expect(twice.event(now[at] ?? event), 'what is redacted stays as it is').toBeUndefined();
    return now.map(
      (event) => event && (JSON.parse(event.json) as { type: string; actor: unknown; data: unknown }),
    );
  };
  const nobody = { kind: 'user', user: 'me', platform: 'erased' };

  it('keeps the places of messages, titles and answers, and nobody else’s change', () => {
    const [message, title, fork, answer, quote, theirs] = redact([
      [me, 'message.created', { messageId: 'm', conversationId: 'c', role: 'user', text: 'x', persona: 'p' }],
      [me, 'conversation.created', { conversationId: 'c', title: 'my title' }],
      [other, 'conversation.forked', { conversationId: 'd', title: 'my title', parent: 'c', reason: 'r' }],
      [
        { kind: 'agent', platform: 'skein' },
        'message.completed',
        { turnId: 'turn-1', text: 'x', sources: [1] },
      ],
      [{ kind: 'agent', platform: 'skein' }, 'message.completed', { turnId: 'turn-2', text: 'x' }],
      [other, 'message.created', { messageId: 'n', text: 'theirs' }],
    ]);
    expect(message).toMatchObject({
      type: 'message.created',
      actor: nobody,
      data: { messageId: 'm', conversationId: 'c', role: 'user', text: '', erased: true },
    });
    expect(title?.data).toEqual({ conversationId: 'c', title: '' });
    expect(fork).toMatchObject({ actor: other, data: { title: '', parent: 'c', reason: 'r' } });
    expect(answer?.data).toEqual({ turnId: 'turn-1', text: '', erased: true });
    expect([quote, theirs]).toEqual([undefined, undefined]);
  });

  it('leaves the same title where somebody else gave it', () => {
    const events = redact([
      [other, 'conversation.created', { conversationId: 'a', title: 'plan' }],
      [me, 'conversation.created', { conversationId: 'b', title: 'plan' }],
      [other, 'conversation.forked', { conversationId: 'c', title: 'plan', parent: 'a' }],
      [other, 'conversation.forked', { conversationId: 'd', title: 'plan', parent: 'b' }],
      [other, 'conversation.forked', { conversationId: 'e', title: 'plan', parent: 'd' }],
      [other, 'conversation.renamed', { conversationId: 'b', title: 'plan B' }],
      [other, 'conversation.forked', { conversationId: 'f', title: 'plan B', parent: 'b' }],
    ]);
    const blanked = events.map((event) => (event?.data as { conversationId?: string })?.conversationId);
    expect(blanked).toEqual([undefined, 'b', undefined, 'd', 'e', undefined, undefined]);
  });

  it('takes the person out of documents and conflicts, and what is nothing without them away', () => {
    const at = { collection: 'task', id: 't1' };
    const [mine, shared, elsewhere, detected, resolved, persona] = redact([
      [
        me,
        'document.changed',
        { ...at, version: 1, value: { a: 'x' }, hash: 'h', ops: [], by: { device: 'my phone' } },
      ],
      [
        other,
        'document.changed',
        { ...at, version: 2, value: { a: 'x', b: 'y' }, hash: 'h', by: { device: 'd' } },
      ],
      [other, 'document.changed', { ...at, id: 't2', version: 1, value: { a: 'x' } }],
      [me, 'conflict.detected', { ...at, conflictId: 'k' }],
      [
        other,
        'conflict.resolved',
        {
          ...at,
          conflictId: 'k',
          parents: { server: {}, client: { user: 'me', device: 'my phone', seq: 3 } },
        },
      ],
      [me, 'persona.changed', { persona: 'p' }],
    ]);
    expect(mine).toMatchObject({ actor: nobody, data: { ...at, version: 1, value: {}, hash: hashOf({}) } });
    expect(shared?.data).toEqual({
      ...{ ...at, version: 2, value: { b: 'y' }, hash: hashOf({ b: 'y' }), by: { device: 'd' } },
    });
    expect(elsewhere).toBeUndefined();
    for (const gone of [detected, persona])
      expect(gone).toMatchObject({ type: 'event.erased', actor: { kind: 'system' }, data: {} });
    expect(resolved).toMatchObject({
      data: { conflictId: 'k', parents: { server: {}, client: { user: 'me', seq: 3 } } },
    });
    expect(JSON.stringify(resolved)).not.toContain('my phone');
  });

  it('keeps whose stamp a field has, but for the person', () => {
    const stamp = (device: string, by?: string) => ({
      ...{ version: 1, hlc: `0123456789ab-0000-${device}`, ...(by ? { by } : {}) },
    });
    const fields = {
      '/a': stamp('my phone', 'me/my phone'),
      '/b': stamp('d', 'other/d'),
      '/gone': stamp('my phone', 'me/my phone'),
    };
    expect(JSON.parse(stampsWithout('me', JSON.stringify(fields), { a: 1, b: 2 }))).toEqual({
      '/a': stamp('erased'),
      '/b': stamp('d', 'other/d'),
    });
  });

  it('leaves values out of results', () => {
    const text = JSON.stringify({ seq: 1, value: 'x', original: { seq: 1, value: 'x', outcome: 'merged' } });
    expect(JSON.parse(resultWithoutValue(text))).toEqual({ seq: 1, original: { seq: 1, outcome: 'merged' } });
  });
});
