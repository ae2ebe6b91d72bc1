import { codePoints, firstCodePoints } from './code-points.ts';
import type { TokenFrame } from './frames.ts';
import { putMessage } from './messages.ts';
import {
  type Applied,
  type ChatMessage,
  endedTurnsMax,
  type RunningTurn,
  type SessionState,
  withConversation,
  withSpace,
} from './model.ts';

/** The text so far of a turn as `GET /v1/turns/{id}` gives it. */
export interface TurnReading {
  readonly id: string;
  readonly state: string;
  readonly text: string;
}

/**
 * Applies a piece of an answer: the first `from` code points we have, then its text. When we have fewer, nothing
 * is changed but the text so far is asked for. A turn that has ended takes no more, and neither does a space that was
 * left a moment ago.
 */
export function applyToken(state: SessionState, frame: TokenFrame, atMs: number): Applied {
  const left = state.spaces[frame.space] === undefined;
  if (left || state.ended.includes(frame.turnId)) return { state, effects: [] };
  const known = findMessage(state, frame.space, frame.conversationId, frame.messageId);
  const have = known?.text ?? '';
  const points = state.turns[frame.turnId]?.points ?? codePoints(have);
  const message = known ?? streamingMessage(frame.messageId, frame.turnId, atMs, '');
  if (frame.from > points) {
    const waiting = putTurn(state, frame, { ...message, state: 'streaming' }, points);
    return { state: waiting, effects: [{ kind: 'fetchTurn', turnId: frame.turnId }] };
  }
  const kept = frame.from === points ? have : firstCodePoints(have, frame.from);
  const text = kept + frame.text;
  const next = frame.from + codePoints(frame.text);
  return { state: putTurn(state, frame, { ...message, text, state: 'streaming' }, next), effects: [] };
}

/** Starts showing a turn; does nothing when it has ended. */
export function startTurn(
  state: SessionState,
  space: string,
  ids: { readonly conversationId: string; readonly turnId: string; readonly messageId: string },
  atMs: number,
  persona: string,
): SessionState {
  if (state.ended.includes(ids.turnId)) return state;
  const known = findMessage(state, space, ids.conversationId, ids.messageId);
  const message = known ?? streamingMessage(ids.messageId, ids.turnId, atMs, persona);
  return putTurn(state, { space, ...ids }, message, codePoints(message.text));
}

/** Ends a turn: its message's text is final and later tokens are ignored. */
export function endTurn(
  state: SessionState,
  space: string,
  conversationId: string,
  message: ChatMessage,
): SessionState {
  const turnId = message.turnId ?? '';
  const { [turnId]: _ended, ...turns } = state.turns;
  const known = findMessage(state, space, conversationId, message.id);
  const shown = {
    ...message,
    timeMs: known?.timeMs ?? message.timeMs,
    persona: message.persona || (known?.persona ?? ''),
  };
  const next = withSpace(state, space, (s) =>
    withConversation(s, conversationId, (c) => putMessage(c, shown)),
  );
  const ended = turnId === '' || state.ended.includes(turnId) ? state.ended : [...state.ended, turnId];
  return { ...next, turns, ended: ended.slice(-endedTurnsMax) };
}

/** Applies the text so far that was read by REST, unless tokens have brought more by now. */
export function applyTurnReading(state: SessionState, reading: TurnReading): SessionState {
  const turn = state.turns[reading.id];
  if (turn === undefined) return state;
  const known = findMessage(state, turn.space, turn.conversationId, turn.messageId);
  if (known === undefined) return state;
  const end = ({ done: 'complete', cancelled: 'cancelled', failed: 'failed' } as const)[reading.state];
  if (end !== undefined) {
    return endTurn(state, turn.space, turn.conversationId, {
      ...known,
      text: reading.text,
      state: end,
      turnId: reading.id,
    });
  }
  const points = codePoints(reading.text);
  if (points <= turn.points) return state;
  return putTurn(state, { ...turn, turnId: reading.id }, { ...known, text: reading.text }, points);
}

function putTurn(
  state: SessionState,
  ids: {
    readonly space: string;
    readonly conversationId: string;
    readonly turnId: string;
    readonly messageId: string;
  },
  message: ChatMessage,
  points: number,
): SessionState {
  const turn: RunningTurn = {
    space: ids.space,
    conversationId: ids.conversationId,
    messageId: ids.messageId,
    points,
    connection: state.connection,
    label: state.turns[ids.turnId]?.label ?? '',
  };
  const next = withSpace(state, ids.space, (s) =>
    withConversation(s, ids.conversationId, (c) => putMessage(c, message)),
  );
  return { ...next, turns: { ...state.turns, [ids.turnId]: turn } };
}

function findMessage(
  state: SessionState,
  space: string,
  conversationId: string,
  id: string,
): ChatMessage | undefined {
  return state.spaces[space]?.conversations[conversationId]?.messages.findLast(
    (message) => message.id === id,
  );
}

function streamingMessage(id: string, turnId: string, timeMs: number, persona: string): ChatMessage {
  return {
    id,
    role: 'assistant',
    text: '',
    state: 'streaming',
    timeMs,
    turnId,
    platform: '',
    persona,
    offline: false,
    edited: false,
    errorCode: '',
  };
}
