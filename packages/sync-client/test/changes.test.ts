import type { MutationResult } from '@skein/sync-core';
import { describe, expect, it } from 'vitest';
import { changesMax, loadChanges, shownDocuments } from '../src/changes.ts';
import { documentKey, type SessionState } from '../src/model.ts';
import { createSession } from '../src/session.ts';
import { countingIds, epoch, FakeClock, fakeSockets, memoryStorage, settle, space } from '../src/testing.ts';

/** A session whose server speaks when the test says so. */
function rig(kept = memoryStorage()) {
  const clock = new FakeClock();
  const sockets = fakeSockets();
  const refused: string[] = [];
  const names: string[] = [];
  const nobody = () => Promise.reject(new Error('not asked for'));
  const session = createSession({
    ...{ clock, random: () => 0.5, newId: countingIds(), openSocket: sockets.open },
    access: async () => ({ token: 't', expiresAtMs: clock.now() + 900_000 }),
    rest: { turn: nobody, messages: nobody, createConversation: nobody },
    user: 'u1',
    device: { id: 'd1', platform: 'web' },
    rename: () => {
      names.push('d2');
      return { device: { id: 'd2', platform: 'web' }, key: 'u1.d2' };
    },
    ...{ tab: memoryStorage(), kept, key: 'u1.d1' },
    ...{ onChange: () => {}, onLink: () => {}, onDraft: () => {}, onUnkept: () => {} },
    onRefused: (code) => refused.push(code),
  });
  let offset = 0;
  const last = () => sockets.last();
  return {
    ...{ clock, sockets, kept, session, refused, names, last },
    /** Opens the line, with a snapshot the first time. */
    connect: async (lastSeq: number, recovered = true) => {
      await settle();
      last().events.opened();
      const stream = { space, epoch, offset, recovered, lastSeq };
      last().push({ type: 'welcome', connection: 'k', user: 'u1', device: 'd1', streams: [stream] });
      const whole = { type: 'snapshot', space, epoch, offset, part: 1, parts: 1 };
      if (!recovered) last().push({ ...whole, documents: [], conversations: [] });
      await settle();
    },
    lose: () => last().events.closed(1006, ''),
    title: (value: string) =>
      session.change({ collection: 'task', id: 'a', ops: [{ op: 'set', path: ['title'], value }] }),
    answer: (results: readonly MutationResult[]) =>
      last().answer('mutate', { results, lastSeq: results.at(-1)?.seq ?? 0 }),
    changed: (version: number, title: string) => {
      offset += 1;
      const data = { collection: 'task', id: 'a', version, value: { title }, hash: 'h' };
      const event = { id: `ev-${offset}`, type: 'document.changed', time: 1, actor: {}, data };
      last().push({ type: 'event', space, epoch, offset, event });
    },
    sent: () =>
      last()
        .of('mutate')
        .map((frame) => frame['mutations'] as { seq: number; baseVersion: number }[]),
  };
}

const shown = (state: SessionState) => {
  const { [space]: known } = state.spaces;
  const one = known && shownDocuments(space, known.documents, state)[documentKey('task', 'a')];
  return one && { value: one.value, waiting: one.waiting };
};

describe('changes of documents', () => {
  it('are shown at once, kept while offline, and sent in order with their seq once there is a line', async () => {
    const r = rig();
    r.session.start();
    await r.connect(0, false);
    r.lose();
    r.title('one');
    r.title('two');
    expect(shown(r.session.state)).toEqual({ value: { title: 'two' }, waiting: true });
    expect(loadChanges(r.kept, 'skein.changes.u1.d1').queues[space]?.waiting).toHaveLength(2);
    await r.clock.advance(5_000);
    await r.connect(0);
    expect(r.sent()).toMatchObject([[{ seq: 1 }, { seq: 2 }]]);
  });

  it('are sent by the next page when this one was closed before', async () => {
    const before = rig();
    before.session.start();
    await before.connect(0, false);
    before.lose();
    before.title('one');
    before.session.stop();
    const after = rig(before.kept);
    after.session.start();
    await after.connect(0, false);
    expect(after.sent()).toMatchObject([[{ seq: 1 }]]);
  });

  it('are kept, with how far they are sent, before they are sent', async () => {
    const r = rig();
    r.session.start();
    await r.connect(0, false);
    r.title('one');
    expect(r.sent()).toHaveLength(1);
    expect(loadChanges(r.kept, 'skein.changes.u1.d1').queues[space]).toMatchObject({ sent: 1, lastSeq: 1 });
  });

  it('go on being shown between their answer and their event', async () => {
    const r = rig();
    r.session.start();
    await r.connect(0, false);
    r.title('one');
    r.answer([{ seq: 1, outcome: 'applied', version: 1, offset: 1 }]);
    expect(r.session.state.queues[space]?.waiting).toEqual([]);
    expect(shown(r.session.state)).toEqual({ value: { title: 'one' }, waiting: false });
    r.changed(1, 'one');
    expect(r.session.state.settling).toEqual([]);
    expect(shown(r.session.state)).toEqual({ value: { title: 'one' }, waiting: false });
    expect(r.last().of('ack').at(-1)).toMatchObject({ space, seq: 1 });
  });

  it('name the version that the server gave, not one of their own', async () => {
    const r = rig();
    r.session.start();
    await r.connect(0, false);
    r.changed(7, 'theirs');
    r.title('one');
    r.title('two');
    r.answer([{ seq: 1, outcome: 'applied', version: 8, offset: 2 }]);
    expect(r.sent()).toMatchObject([[{ baseVersion: 7 }], [{ seq: 2, baseVersion: 7 }]]);
  });

  it('that were refused are taken back, and the person can read why, also after a reload', async () => {
    const r = rig();
    r.session.start();
    await r.connect(0, false);
    r.title('one');
    r.answer([{ seq: 1, outcome: 'rejected', code: 'forbidden' }]);
    expect(shown(r.session.state)).toBeUndefined();
    expect(r.session.state.unsettled).toMatchObject([{ outcome: 'rejected', code: 'forbidden' }]);
    expect(loadChanges(r.kept, 'skein.changes.u1.d1').unsettled).toHaveLength(1);
    r.session.dismiss(r.session.state.unsettled[0]?.key ?? '');
    expect(r.session.state.unsettled).toEqual([]);
  });

  it.each(['forbidden', 'not_found'])(
    'that nobody takes any more (%s) are given up and told, all of them',
    async (code) => {
      const r = rig();
      r.session.start();
      await r.connect(0, false);
      r.lose();
      for (let count = 0; count < changesMax; count += 1) r.title(`change ${count}`);
      await r.clock.advance(5_000);
      await r.connect(0);
      r.last().refuse('mutate', { code, retryable: false });
      expect(r.session.state.queues[space]?.waiting).toEqual([]);
      expect(r.session.state.unsettled).toHaveLength(changesMax);
      expect(r.session.state.unsettled[0]).toMatchObject({ outcome: 'rejected', code });
      expect(loadChanges(r.kept, 'skein.changes.u1.d1').unsettled).toHaveLength(changesMax);
    },
  );

  it('that met another one say where both are kept', async () => {
    const r = rig();
    r.session.start();
    await r.connect(0, false);
    r.title('one');
    r.answer([{ seq: 1, outcome: 'conflict', conflictId: 'c' }]);
    expect(r.session.state.unsettled).toMatchObject([{ outcome: 'conflict', conflictId: 'c' }]);
  });

  it('are sent again after what the server calls retryable, and after an answer that never came', async () => {
    const r = rig();
    r.session.start();
    await r.connect(0, false);
    r.title('one');
    r.last().refuse('mutate', { code: 'rate_limited', retryable: true, retryAfterMs: 1_000 });
    await r.clock.advance(1_000);
    expect(r.sent()).toHaveLength(2);
    await r.clock.advance(6_000);
    expect(r.sent()).toHaveLength(3);
    expect(r.sent().every(([first]) => first?.seq === 1)).toBe(true);
  });

  it('are sent again, seldom, after a refusal that nobody foresaw, and the person is told', async () => {
    const r = rig();
    r.session.start();
    await r.connect(0, false);
    r.title('one');
    r.last().refuse('mutate', { code: 'brand_new', retryable: false });
    expect(r.refused).toEqual(['brand_new']);
    expect(r.sent()).toHaveLength(1);
    await r.clock.advance(5_000);
    expect(r.sent()).toHaveLength(2);
  });

  it('go on under another device id, numbered from 1, when somebody else writes under this one', async () => {
    const r = rig();
    r.session.start();
    await r.connect(0, false);
    r.lose();
    r.title('one');
    await r.clock.advance(5_000);
    await r.connect(9);
    expect(r.names).toEqual(['d2']);
    await r.connect(0);
    expect(r.last().of('hello')[0]?.['device']).toMatchObject({ id: 'd2' });
    expect(r.sent()).toMatchObject([[{ seq: 1 }]]);
    expect([...r.kept.values.keys()].filter((key) => key.endsWith('u1.d1'))).toEqual([]);
  });

  it('have a bound that is told', async () => {
    const r = rig();
    r.session.start();
    await r.connect(0, false);
    r.lose();
    for (let count = 0; count < changesMax; count += 1) expect(r.title('x')).toBe(true);
    expect(r.title('one too many')).toBe(false);
  });

  it('keep their count, and nothing of what was written, at sign-out', async () => {
    const r = rig();
    r.session.start();
    await r.connect(0, false);
    r.title('secret');
    r.session.stop({ forget: true });
    expect(JSON.stringify([...r.kept.values])).not.toContain('secret');
    expect(loadChanges(r.kept, 'skein.changes.u1.d1').queues[space]).toMatchObject({
      lastSeq: 1,
      waiting: [],
    });
  });
});
