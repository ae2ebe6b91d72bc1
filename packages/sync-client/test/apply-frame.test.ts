import { describe, expect, it } from 'vitest';
import type { ServerFrame } from '../src/frames.ts';
import { documentKey } from '../src/model.ts';
import {
  apply,
  conversation,
  eventFrame,
  fresh,
  snapshotFrame,
  space,
  tokenFrame,
  welcomeFrame,
} from '../src/testing.ts';

const said = (offset: number, id: string, text = id) =>
  eventFrame(offset, 'message.created', { messageId: id, conversationId: 'c1', role: 'user', text });
const texts = (state: ReturnType<typeof fresh>) =>
  conversation(state).messages.map((message) => message.text);

describe('the position', () => {
  it('moves by one with each event and remembers its id', () => {
    const { state } = apply([said(1, 'm1'), said(2, 'm2')], fresh());
    expect(state.spaces[space]?.position).toEqual({ epoch: 'e1', offset: 2, lastId: 'ev-2' });
    expect(texts(state)).toEqual(['m1', 'm2']);
  });

  it('makes an event that comes twice harmless', () => {
    const once = apply([said(1, 'm1'), said(2, 'm2')], fresh()).state;
    const twice = apply([said(2, 'm2', 'changed'), said(1, 'm1', 'changed')], once);
    expect(twice.state).toBe(once);
    expect(twice.effects).toEqual([]);
  });

  it('moves over events of unknown types', () => {
    const { state } = apply([eventFrame(1, 'something.new', {}), said(2, 'm2')], fresh());
    expect(state.spaces[space]?.position?.offset).toBe(2);
  });

  it('asks to follow from where it stands when an event is missing, and takes nothing until it does', () => {
    const gap = apply([said(1, 'm1'), said(3, 'm3')], fresh());
    expect(gap.effects).toEqual([
      { kind: 'subscribe', space, position: { epoch: 'e1', offset: 1, lastId: 'ev-1' } },
    ]);
    const more = apply([said(4, 'm4')], gap.state);
    expect(more.effects).toEqual([]);
    const healed = apply(
      [
        { type: 'subscribed', stream: { space, epoch: 'e1', offset: 4, recovered: true } },
        said(2, 'm2'),
        said(3, 'm3'),
      ],
      more.state,
    );
    expect(texts(healed.state)).toEqual(['m1', 'm2', 'm3']);
  });

  it('asks for a snapshot when the epoch has changed', () => {
    const { effects } = apply([eventFrame(1, 'message.created', {}, 'e2')], fresh());
    expect(effects).toEqual([{ kind: 'subscribe', space }]);
  });

  it('is not taken from the head a welcome names', () => {
    const { state } = apply([welcomeFrame(true)], apply([said(1, 'm1')], fresh()).state);
    expect(state.spaces[space]?.position?.offset).toBe(1);
  });
});

describe('a snapshot', () => {
  const listed = { id: 'c1', title: 'Plans', head: 'm9', count: 9 };

  it('is applied at its last part only', () => {
    const first = apply([welcomeFrame(false), snapshotFrame(7, { parts: 2, conversations: [listed] })]);
    expect(first.state.spaces[space]?.position).toBeUndefined();
    expect(first.state.spaces[space]?.conversations).toEqual({});
    const whole = apply([snapshotFrame(7, { part: 2, parts: 2 })], first.state);
    expect(whole.state.spaces[space]?.position).toEqual({ epoch: 'e1', offset: 7 });
    expect(conversation(whole.state)).toMatchObject({ title: 'Plans', count: 9, history: 'none' });
  });

  it('starts again after an interruption, without the parts from before', () => {
    const { state } = apply([
      welcomeFrame(false),
      snapshotFrame(7, { parts: 3, conversations: [listed] }),
      welcomeFrame(false, 'k2'),
      snapshotFrame(8, { part: 2, parts: 2 }),
    ]);
    expect(state.spaces[space]?.position).toBeUndefined();
    const again = apply([snapshotFrame(8, { parts: 2 }), snapshotFrame(8, { part: 2, parts: 2 })], state);
    expect(again.state.spaces[space]?.position?.offset).toBe(8);
    expect(again.state.spaces[space]?.conversations).toEqual({});
  });

  it('replaces documents and conversations that are gone', () => {
    const before = apply(
      [
        said(1, 'm1'),
        eventFrame(2, 'document.changed', { collection: 'task', id: 'x', version: 1, value: 1, hash: 'h' }),
      ],
      fresh(),
    ).state;
    const { state } = apply([welcomeFrame(false, 'k2'), snapshotFrame(9)], before);
    expect(state.spaces[space]?.conversations).toEqual({});
    expect(state.spaces[space]?.documents).toEqual({});
  });

  it('marks cached messages as possibly incomplete unless they reach the head', () => {
    const before = apply(
      [eventFrame(1, 'conversation.created', { conversationId: 'c1' }), said(2, 'm2')],
      fresh(),
    ).state;
    const same = apply(
      [welcomeFrame(false), snapshotFrame(9, { conversations: [{ ...listed, head: 'm2' }] })],
      before,
    );
    expect(conversation(same.state).history).toBe('loaded');
    const behind = apply([welcomeFrame(false), snapshotFrame(9, { conversations: [listed] })], before);
    expect(conversation(behind.state).history).toBe('stale');
    expect(texts(behind.state)).toEqual(['m2']);
  });

  it('of another epoch drops what was said before it, and the answers that were running', () => {
    const before = apply([said(1, 'm9')], fresh()).state;
    const restored = { epoch: 'e2', conversations: [listed] };
    const frames = [welcomeFrame(false), tokenFrame(0, 'half'), snapshotFrame(9, restored)];
    const { state } = apply(frames, before);
    expect(state.turns).toEqual({});
    expect(conversation(state)).toMatchObject({ messages: [], history: 'none' });
  });

  it('keeps an answer that is running on this connection and drops one left by an older', () => {
    const answering = apply([tokenFrame(0, 'half')], fresh()).state;
    const list = { conversations: [listed] };
    const left = apply([welcomeFrame(false, 'k2'), snapshotFrame(9, list)], answering).state;
    expect(left.turns).toEqual({});
    expect(texts(left)).toEqual([]);
    const running = apply(
      [welcomeFrame(false, 'k2'), tokenFrame(0, 'half and more'), snapshotFrame(9, list)],
      answering,
    ).state;
    expect(texts(running)).toEqual(['half and more']);
  });

  it('lets no event in before it is whole', () => {
    const { state } = apply([welcomeFrame(false), snapshotFrame(3, { parts: 2 }), said(4, 'm4')]);
    expect(state.spaces[space]?.conversations).toEqual({});
  });
});

describe('session state', () => {
  it('follows persona and memory changed on another device', () => {
    const { state } = apply(
      [
        eventFrame(1, 'persona.changed', { persona: 'data-analyst' }),
        eventFrame(2, 'memory.toggled', { enabled: false }),
      ],
      fresh(),
    );
    expect(state.spaces[space]?.documents[documentKey('session', 'current')]?.value).toEqual({
      persona: 'data-analyst',
      memoryEnabled: false,
    });
  });

  it('replaces a document whole and forgets a deleted one', () => {
    const changed = { collection: 'task', id: 'x', version: 2, value: { b: 1 }, hash: 'h2' };
    const { state } = apply([eventFrame(1, 'document.changed', changed)], fresh());
    expect(state.spaces[space]?.documents[documentKey('task', 'x')]).toEqual(changed);
    const gone = apply(
      [eventFrame(2, 'document.deleted', { collection: 'task', id: 'x', version: 3 })],
      state,
    );
    expect(gone.state.spaces[space]?.documents).toEqual({});
  });

  it('compares the state hash only at the same position', () => {
    const check = (offset: number) => ({
      type: 'check' as const,
      space,
      epoch: 'e1',
      offset,
      stateHash: '1:00',
    });
    expect(apply([check(0)], fresh()).effects).toEqual([{ kind: 'check', space, stateHash: '1:00' }]);
    expect(apply([check(4)], fresh()).effects).toEqual([]);
  });

  it('shows typing on other devices and not its own', () => {
    const typing = (device: string) => ({
      type: 'typing' as const,
      space,
      conversationId: 'c1',
      user: 'u1',
      device,
    });
    expect(apply([typing('d1')], fresh()).state.spaces[space]?.typing).toEqual({});
    expect(apply([typing('d2')], fresh()).state.spaces[space]?.typing).toEqual({ c1: 10_000 });
  });

  it('shows typing no longer once the message is there', () => {
    const typing: ServerFrame = { type: 'typing', space, conversationId: 'c1', user: 'u1', device: 'd2' };
    const said = eventFrame(1, 'message.created', {
      messageId: 'm',
      conversationId: 'c1',
      role: 'user',
      text: 'x',
    });
    expect(apply([typing, said], fresh()).state.spaces[space]?.typing).toEqual({});
  });

  it('forgets a space it was removed from', () => {
    const { state } = apply([{ type: 'unsubscribed', space, reason: 'removed' }], fresh());
    expect(state.spaces).toEqual({});
  });

  it('asks again to follow a space that is away for now, and not one that is forbidden', () => {
    const welcome = (error: string) => ({
      ...(welcomeFrame(false) as Extract<ServerFrame, { type: 'welcome' }>),
      streams: [{ space, epoch: '', offset: 0, recovered: false, error }],
    });
    expect(apply([welcome('unavailable')]).effects).toEqual([{ kind: 'subscribe', space }]);
    expect(apply([welcome('forbidden')]).effects).toEqual([]);
    expect(apply([welcome('forbidden')]).state.spaces[space]?.refused).toBe('forbidden');
  });

  it('forgets a team space it was removed from while it was away', () => {
    const welcome: Extract<ServerFrame, { type: 'welcome' }> = {
      ...(welcomeFrame(false) as Extract<ServerFrame, { type: 'welcome' }>),
      streams: [{ space, epoch: '', offset: 0, recovered: false, error: 'forbidden' }],
    };
    expect(apply([welcome], { ...fresh(), home: 'mine' }).state.spaces).toEqual({});
  });

  it('keeps a space whose stream only broke', () => {
    const { state } = apply([{ type: 'unsubscribed', space, reason: 'unavailable' }], fresh());
    expect(Object.keys(state.spaces)).toEqual([space]);
  });

  it('edits and deletes messages', () => {
    const { state } = apply(
      [
        said(1, 'm1'),
        said(2, 'm2'),
        eventFrame(3, 'message.edited', { conversationId: 'c1', messageId: 'm1', text: 'better' }),
        eventFrame(4, 'message.deleted', { conversationId: 'c1', messageId: 'm2' }),
      ],
      fresh(),
    );
    expect(texts(state)).toEqual(['better']);
  });
});
