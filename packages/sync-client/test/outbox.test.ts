import { describe, expect, it } from 'vitest';
import {
  draftTarget,
  enqueue,
  interrupted,
  mark,
  nextToSend,
  type OutboxEntry,
  outboxMax,
  resolveDraft,
} from '../src/outbox.ts';
import { apply, eventFrame, fresh, snapshotFrame, welcomeFrame } from '../src/testing.ts';

const entry = (id: string, state: OutboxEntry['state'] = 'waiting'): OutboxEntry => ({
  clientMessageId: id,
  target: { draft: 'new', title: 'T' },
  text: id,
  queuedMs: 0,
  state,
});

describe('the outbox', () => {
  it('gives out one at a time, oldest first, and steps over refused ones', () => {
    const box = [entry('a', 'failed'), entry('b'), entry('c')];
    expect(nextToSend(box)?.clientMessageId).toBe('b');
    expect(nextToSend(mark(box, 'b', 'sending'))).toBeUndefined();
    expect(nextToSend(mark(box, 'b', 'sent'))?.clientMessageId).toBe('c');
  });

  it('refuses more than it may hold', () => {
    const full = Array.from({ length: outboxMax }, (_, i) => entry(`m${i}`));
    expect(enqueue(full, entry('one more'))).toBeUndefined();
    expect(enqueue(full.slice(1), entry('one more'))).toHaveLength(outboxMax);
  });

  it('lets what was under way wait again under the same id', () => {
    expect(interrupted([entry('a', 'sending'), entry('b', 'sent')])).toEqual([
      entry('a'),
      entry('b', 'sent'),
    ]);
  });

  it('sends everything written for a draft to the conversation made of it', () => {
    const box = resolveDraft(
      [entry('a'), { ...entry('b'), target: { draft: 'other', title: '' } }],
      'new',
      'c7',
    );
    expect(box.map((e) => e.target)).toEqual([{ conversationId: 'c7' }, { draft: 'other', title: '' }]);
  });

  it('titles a draft by the first words written for it, and keeps that title', () => {
    const first = draftTarget([], 'd', `${'😀'.repeat(70)} x\nsecond line`);
    expect(first).toEqual({ draft: 'd', title: '😀'.repeat(60) });
    expect(draftTarget([{ ...entry('a'), target: first }], 'd', 'something else')).toEqual(first);
  });

  it('lets go of a message when its event comes', () => {
    const start = { ...fresh(), outbox: [entry('mine', 'sending'), entry('next')] };
    const created = {
      messageId: 'm1',
      conversationId: 'c1',
      role: 'user',
      text: 'mine',
      clientMessageId: 'mine',
    };
    expect(apply([eventFrame(1, 'message.created', created)], start).state.outbox).toEqual([entry('next')]);
  });

  it('lets go of accepted messages at a snapshot, which stands for their events, and keeps the others', () => {
    const start = { ...fresh(), outbox: [entry('a', 'sent'), entry('b', 'failed'), entry('c')] };
    const { state } = apply([welcomeFrame(false), snapshotFrame(5)], start);
    expect(state.outbox.map((e) => e.clientMessageId)).toEqual(['b', 'c']);
  });
});
