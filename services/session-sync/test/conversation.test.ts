import { describe, expect, it } from 'vitest';
import { type AppendMessage, appendMessage, titleOf } from '../src/domain/append-message.ts';
import { putMember, removeMember } from '../src/domain/member.ts';
import type { Role, SpaceState, TurnOutcome } from '../src/domain/state.ts';
import { endTurn, startTurn } from '../src/domain/turn.ts';
import { given, noInvitations } from './decide.ts';

const actor = { kind: 'user', user: 'ann', platform: 'web' } as const;
const agent = { kind: 'agent', platform: 'skein' } as const;
const says =
  (text: string, more: Partial<AppendMessage> = {}) =>
  (state: SpaceState) =>
    appendMessage(state, {
      userId: 'ann',
      actor,
      clientMessageId: text,
      text,
      reply: true,
      ids: { message: `m-${text}`, conversation: `c-${text}`, turn: `t-${text}`, answer: `a-${text}` },
      nowMs: 1_000,
      ...more,
    });
const starts = (turnId: string) => (state: SpaceState) =>
  startTurn(state, { turnId, actor: agent, nowMs: 2_000 });
const ends =
  (turnId: string, outcome: TurnOutcome = 'completed', meta = {}) =>
  (state: SpaceState) =>
    endTurn(state, { turnId, actor: agent, outcome, text: 'answer', meta, nowMs: 2_000 });

describe('appending a message', () => {
  it('begins a conversation when there is none, and goes on in the newest one afterwards', () => {
    given().when(says('one')).emits(['conversation.created', 'message.created'], {
      conversationId: 'c-one',
      turnId: 't-one',
      offset: 2,
    });
    given(says('one')).when(says('two')).emits(['message.created'], { conversationId: 'c-one', offset: 3 });
  });

  it('changes nothing the second time and tells the same', () => {
    given(says('one'))
      .when(says('one', { ids: { message: 'x', conversation: 'x', turn: 'x', answer: 'x' } }))
      .emits([], {
        messageId: 'm-one',
        turnId: 't-one',
        answerMessageId: 'a-one',
        offset: 2,
        duplicate: true,
      });
  });

  it('keeps the client message ids of two people apart', () => {
    given(says('one'))
      .when(says('one', { userId: 'ed' }))
      .emits(['message.created'], { duplicate: false });
  });

  it('asks for no answer when none is wanted', () => {
    const { writes } = given()
      .when(says('note', { reply: false }))
      .emits(['conversation.created', 'message.created']);
    expect(writes.turns).toEqual([]);
  });

  it('is for editors, in conversations that exist', () => {
    given()
      .when(says('x', { userId: 'vi' }))
      .refused('forbidden');
    given()
      .when(says('x', { userId: 'nobody' }))
      .refused('not_found');
    given()
      .when(says('x', { conversationId: 'c-unknown' }))
      .refused('not_found');
  });

  it('takes its title from the first words, cut between words and never inside a character', () => {
    expect(titleOf('  Hello\n world ')).toBe('Hello world');
    expect(titleOf('word '.repeat(30))).toBe(`${'word '.repeat(12).trim()}…`);
    expect(titleOf('😀'.repeat(70))).toBe(`${'😀'.repeat(60)}…`);
  });
});

const asks = says('q', { userId: 'ed' });
/** The person who asks is not in the space any more. */
const leaves = (state: SpaceState) =>
  removeMember(state, { by: 'ann', userId: 'ed', role: null, actor, nowMs: 0 });

describe('a turn', () => {
  it('starts once', () => {
    given(says('q')).when(starts('t-q')).emits(['turn.started'], { messageId: 'a-q', offset: 3 });
    given(says('q'), starts('t-q')).when(starts('t-q')).emits([], { offset: 3 });
    given().when(starts('t-none')).refused('not_found');
  });

  it.each([
    ['completed', 'message.completed', 'complete'],
    ['cancelled', 'turn.cancelled', 'cancelled'],
    ['failed', 'turn.failed', 'failed'],
  ] as const)('ends as %s with one message of its conversation', (outcome, type, state) => {
    const { writes } = given(says('q'), starts('t-q'))
      .when(ends('t-q', outcome))
      .emits([type], { outcome, offset: 4 });
    expect(writes.messages).toMatchObject([{ id: 'a-q', role: 'assistant', text: 'answer', state }]);
    expect(writes.conversations).toMatchObject([{ head: 'a-q', count: 2 }]);
  });

  it('ends once: the second is told how it ended', () => {
    given(says('q'), ends('t-q', 'cancelled'))
      .when(ends('t-q', 'completed'))
      .emits([], { outcome: 'cancelled', offset: 3, duplicate: true });
    given(says('q'), ends('t-q', 'cancelled')).when(starts('t-q')).emits([], { ended: 'cancelled' });
  });

  it('fails instead of starting when its person has left, also when it had started', () => {
    for (const before of [
      [asks, leaves],
      [asks, starts('t-q'), leaves],
    ]) {
      const { writes, events } = given(...before)
        .when(starts('t-q'))
        .emits(['turn.failed'], { ended: 'failed', messageId: 'a-q' });
      expect(events[0]?.data).toMatchObject({ error: 'not_member', text: '' });
      expect(writes.turnEnds).toMatchObject([{ turnId: 't-q', outcome: 'failed' }]);
    }
  });

  it.each([
    ['completed', 'failed', 'turn.failed', 'not_member'],
    ['failed', 'failed', 'turn.failed', 'not_member'],
    ['cancelled', 'cancelled', 'turn.cancelled', undefined],
  ] as const)(
    'that should end as %s says nothing when its person has left',
    (asked, outcome, type, error) => {
      const { writes, events } = given(asks, starts('t-q'), leaves)
        .when(ends('t-q', asked, { sources: ['private'] }))
        .emits([type], { outcome, duplicate: false });
      expect(events[0]?.data).toMatchObject({ text: '', error });
      expect(JSON.stringify([events, writes])).not.toMatch(/private|answer"/);
    },
  );

  it('does not let what comes with the answer replace what identifies it', () => {
    const { events } = given(says('q'))
      .when(ends('t-q', 'completed', { turnId: 'forged', offline: true }))
      .emits(['message.completed']);
    expect(events[0]?.data).toMatchObject({ turnId: 't-q', offline: true });
  });
});

describe('members', () => {
  const put =
    (userId: string, role: Role | null, by = 'ann') =>
    (state: SpaceState) => {
      const command = { by, userId, role, actor, nowMs: 5 };
      if (role === null) return removeMember(state, command);
      const invitation = {
        ...{ id: `to ${userId} as ${role} by ${by}`, space: state.id, role, code: 'c', userId, email: null },
        ...{
          createdBy: by,
          createdAtMs: 0,
          expiresAtMs: 10,
          ended: false,
          acceptedBy: null,
          personEmail: null,
          mailed: false,
        },
      };
      return putMember(state, { ...command, invitation, counts: noInvitations });
    };

  it('are invited, changed and removed by owners', () => {
    const invited = given().when(put('new', 'viewer')).emits(['member.invited'], 'invited');
    // Nothing of whoever has not accepted.
    expect(JSON.stringify(invited.events[0]?.data)).toBe(
      '{"invitation":"to new as viewer by ann","role":"viewer","addressed":true}',
    );
    given(put('new', 'viewer')).when(put('new', 'viewer')).emits([], 'waiting');
    given().when(put('ed', 'owner')).emits(['member.changed'], 'changed');
    given().when(put('ed', 'editor')).emits([], 'unchanged');
    given().when(put('vi', null)).emits(['member.removed'], 'removed');
    given()
      .when(put('new', 'viewer', 'ed'))
      .refused('forbidden');
    given()
      .when(put('vi', null, 'ed'))
      .refused('forbidden');
    given().when(put('nobody', null)).refused('not_found');
  });

  it('to be are invited once: another role takes the place of the first', () => {
    const states: SpaceState[] = [];
    given(put('new', 'viewer'), put('new', 'editor'))
      .when((state) => {
        states.push(state);
        return put('new', 'editor')(state);
      })
      .emits([], 'waiting');
    const open = [...(states[0]?.invitations.values() ?? [])].filter(({ expiresAtMs }) => expiresAtMs > 5);
    expect(open.map(({ role }) => role)).toEqual(['editor']);
    // Whoever made it may let nobody in any more: another owner's takes its place.
    given(put('ed', 'owner'), put('new', 'viewer', 'ed'), put('ed', 'editor'))
      .when(put('new', 'viewer'))
      .emits(['member.invited'], 'invited');
  });

  it('may leave, but not the last owner', () => {
    given()
      .when(put('vi', null, 'vi'))
      .emits(['member.removed']);
    given().when(put('ann', null)).refused('forbidden');
    given().when(put('ann', 'viewer')).refused('forbidden');
    given(put('ed', 'owner')).when(put('ann', null)).emits(['member.removed']);
  });
});
