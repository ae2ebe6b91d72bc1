import { type Decision, refuse, unchanged } from './decision.ts';
import type { Actor, EventType } from './event.ts';
import type { SpaceState, TurnOutcome, TurnRow } from './state.ts';

/** The agent takes a turn up. */
export interface StartTurn {
  readonly turnId: string;
  readonly actor: Actor;
  readonly nowMs: number;
}

/** Why a turn fails whose person is not in the space any more: the answer would be for nobody there. */
const askerGone = 'not_member';

/** Where the answer goes; `ended` when it is too late. */
export interface TurnStarted {
  readonly messageId: string;
  readonly conversationId: string;
  readonly offset: number;
  readonly ended?: TurnOutcome | undefined;
}

/**
 * `turn.started`, once: whoever comes again is told the same. The turn of somebody who has left the space fails
 * instead.
 */
export const startTurn = (state: SpaceState, { turnId, actor, nowMs }: StartTurn): Decision<TurnStarted> => {
  const turn = state.turns.get(turnId);
  if (!turn) return refuse('not_found', 'There is no such turn');
  const place = { messageId: turn.answerId, conversationId: turn.conversationId };
  if (turn.state === 'ended')
    return unchanged({ ...place, offset: turn.startedOffset, ended: turn.outcome ?? 'failed' });
  if (!state.roles.has(turn.userId)) {
    const failed = endTurn(state, { turnId, actor, nowMs, outcome: 'failed', text: '', meta: {} });
    if ('refused' in failed) return failed;
    const { offset, outcome } = failed.result;
    return { ...failed, result: { ...place, offset, ended: outcome } };
  }
  if (turn.state === 'streaming') return unchanged({ ...place, offset: turn.startedOffset });
  const offset = state.head + 1;
  return {
    result: { ...place, offset },
    events: [{ type: 'turn.started', actor, data: { turnId, ...place, persona: turn.persona } }],
    writes: { turns: [{ ...turn, state: 'streaming', startedOffset: offset }] },
  };
};

/** The turn's end and its answer. */
export interface EndTurn {
  readonly turnId: string;
  readonly actor: Actor;
  readonly outcome: TurnOutcome;
  readonly text: string;
  /** For programs; only with `failed`. */
  readonly errorCode?: string | undefined;
  /** Shown with the answer: model, offline, sources. */
  readonly meta: Readonly<Record<string, unknown>>;
  readonly nowMs: number;
}

/** How the turn ended: what was asked, or what somebody else said first. */
export interface TurnEnded {
  readonly outcome: TurnOutcome;
  readonly offset: number;
  readonly duplicate: boolean;
}

/** What the event says of itself: facts that come with the answer never replace it. */
export const answerFields: ReadonlySet<string> = new Set([
  'turnId',
  'messageId',
  'conversationId',
  'role',
  'text',
  'persona',
  'error',
  'erased',
]);

const eventOf: Record<TurnOutcome, EventType> = {
  completed: 'message.completed',
  cancelled: 'turn.cancelled',
  failed: 'turn.failed',
};

/**
 * What can be said at the end: of an answer to somebody who has left the space, only that it failed. It may have been
 * made of what that person alone may see.
 */
const sayable = (state: SpaceState, turn: TurnRow, asked: EndTurn): EndTurn => {
  if (state.roles.has(turn.userId)) return asked;
  const silent = { ...asked, text: '', meta: {} };
  return asked.outcome === 'completed'
    ? { ...silent, outcome: 'failed', errorCode: askerGone }
    : { ...silent, errorCode: asked.outcome === 'failed' ? (asked.errorCode ?? askerGone) : undefined };
};

/** Ends a turn exactly once; the answer becomes one message of its conversation. */
export const endTurn = (state: SpaceState, asked: EndTurn): Decision<TurnEnded> => {
  const { turnId } = asked;
  const turn = state.turns.get(turnId);
  if (!turn) return refuse('not_found', 'There is no such turn');
  if (turn.state === 'ended')
    return unchanged({ outcome: turn.outcome ?? 'failed', offset: turn.endOffset ?? 0, duplicate: true });
  const conversation = state.conversations.get(turn.conversationId);
  if (!conversation) return refuse('not_found', 'The conversation is gone');
  const command = sayable(state, turn, asked);
  const { actor, outcome, text, nowMs } = command;
  const offset = state.head + 1;
  const meta = Object.fromEntries(Object.entries(command.meta).filter(([key]) => !answerFields.has(key)));
  const data = {
    ...meta,
    turnId,
    messageId: turn.answerId,
    conversationId: turn.conversationId,
    role: 'assistant',
    text,
    persona: turn.persona,
    error: command.errorCode,
  };
  return {
    result: { outcome, offset, duplicate: false },
    events: [{ type: eventOf[outcome], actor, data }],
    writes: {
      turns: [{ ...turn, state: 'ended' }],
      turnEnds: [{ space: state.id, turnId, outcome, offset, timeMs: nowMs }],
      conversations: [
        {
          ...conversation,
          updatedAtMs: Math.max(conversation.updatedAtMs, nowMs),
          head: turn.answerId,
          count: conversation.count + 1,
          offset,
        },
      ],
      messages: [
        {
          id: turn.answerId,
          space: state.id,
          conversationId: turn.conversationId,
          role: 'assistant',
          text,
          offset,
          timeMs: nowMs,
          userId: null,
          platform: actor.platform,
          persona: turn.persona,
          turnId,
          clientMessageId: null,
          state: outcome === 'completed' ? 'complete' : outcome,
          attachments: null,
          meta: Object.keys(meta).length === 0 ? null : JSON.stringify(meta),
        },
      ],
    },
  };
};
