import { describe, expect, it } from 'vitest';
import { codePoints, firstCodePoints } from '../src/code-points.ts';
import { endedTurnsMax } from '../src/model.ts';
import { apply, conversation, eventFrame, fresh, space, tokenFrame } from '../src/testing.ts';
import { applyTurnReading } from '../src/turns.ts';

const answer = (state: ReturnType<typeof fresh>) =>
  conversation(state).messages.find((message) => message.id === 'a1');
const end = (offset: number, type: string, text: string, more = {}) =>
  eventFrame(offset, type, { turnId: 't1', messageId: 'a1', conversationId: 'c1', text, ...more });

describe('code points', () => {
  it('count a pair of surrogates once and are never split', () => {
    expect(codePoints('a😀é中')).toBe(4);
    expect(firstCodePoints('a😀é中', 2)).toBe('a😀');
    expect(firstCodePoints('ab', 9)).toBe('ab');
  });
});

describe('an answer', () => {
  it('is the first `from` code points it has plus the text', () => {
    const { state } = apply([tokenFrame(0, 'Hi 😀'), tokenFrame(4, ' there'), tokenFrame(3, '!')], fresh());
    expect(answer(state)?.text).toBe('Hi !');
    expect(answer(state)?.state).toBe('streaming');
  });

  it('counts from in code points, not in UTF-16 units', () => {
    const { state } = apply([tokenFrame(0, '😀😀'), tokenFrame(2, '中')], fresh());
    expect(answer(state)?.text).toBe('😀😀中');
  });

  it('starts over at from 0', () => {
    expect(answer(apply([tokenFrame(0, 'first try'), tokenFrame(0, 'again')], fresh()).state)?.text).toBe(
      'again',
    );
  });

  it('asks for the text so far when code points are missing, and changes nothing', () => {
    const { state, effects } = apply([tokenFrame(0, 'ab'), tokenFrame(5, 'fg')], fresh());
    expect(effects).toEqual([{ kind: 'fetchTurn', turnId: 't1' }]);
    expect(answer(state)?.text).toBe('ab');
  });

  it('takes no token of a space that was left: it would be followed again, and wait for its end for ever', () => {
    const left = apply(
      [tokenFrame(0, 'ab'), { type: 'unsubscribed', space, reason: 'not_member' }, tokenFrame(2, 'cd')],
      fresh(),
    );
    expect(left.effects).toEqual([]);
    expect(left.state.spaces).toEqual({});
  });

  it('goes on from the text read by REST', () => {
    const { state } = apply([tokenFrame(0, 'ab'), tokenFrame(5, 'fg')], fresh());
    const read = applyTurnReading(state, { id: 't1', state: 'streaming', text: 'abcdefg' });
    expect(answer(apply([tokenFrame(7, 'h')], read).state)?.text).toBe('abcdefgh');
  });

  it('is not set back by a reading that is older than its tokens', () => {
    const { state } = apply([tokenFrame(0, 'abcdef')], fresh());
    expect(answer(applyTurnReading(state, { id: 't1', state: 'streaming', text: 'abc' }))?.text).toBe(
      'abcdef',
    );
  });

  it('takes the end from a reading when the event is still on its way', () => {
    const { state } = apply([tokenFrame(0, 'abc')], fresh());
    const read = applyTurnReading(state, { id: 't1', state: 'cancelled', text: 'abcd' });
    expect(answer(read)).toMatchObject({ text: 'abcd', state: 'cancelled' });
    expect(read.turns).toEqual({});
  });

  it.each([
    ['message.completed', 'complete'],
    ['turn.cancelled', 'cancelled'],
    ['turn.failed', 'failed'],
  ])('ends with %s, whose text is final, and ignores tokens after it', (type, state) => {
    const started = eventFrame(1, 'turn.started', {
      turnId: 't1',
      messageId: 'a1',
      conversationId: 'c1',
      persona: 'cruz',
    });
    const done = apply(
      [started, tokenFrame(0, 'half'), end(2, type, 'whole'), tokenFrame(0, 'late'), tokenFrame(9, 'x')],
      fresh(),
    );
    expect(answer(done.state)).toMatchObject({ text: 'whole', state, persona: 'cruz' });
    expect(done.state.turns).toEqual({});
    expect(done.effects).toEqual([]);
  });

  it('says that it was made offline, wherever the event says so', () => {
    expect(answer(apply([end(1, 'message.completed', 'x', { offline: true })], fresh()).state)?.offline).toBe(
      true,
    );
    expect(
      answer(apply([end(1, 'message.completed', 'x', { meta: { offline: true } })], fresh()).state)?.offline,
    ).toBe(true);
    expect(answer(apply([end(1, 'message.completed', 'x')], fresh()).state)?.offline).toBe(false);
  });

  it('remembers a bounded number of ended turns', () => {
    const ends = Array.from({ length: endedTurnsMax + 20 }, (_, i) =>
      eventFrame(i + 1, 'message.completed', {
        turnId: `t${i}`,
        messageId: `a${i}`,
        conversationId: 'c1',
        text: '',
      }),
    );
    expect(apply(ends, fresh()).state.ended).toHaveLength(endedTurnsMax);
  });
});
