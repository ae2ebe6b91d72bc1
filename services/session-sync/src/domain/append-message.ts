import { type Decision, refuse, requireRole, unchanged } from './decision.ts';
import type { Actor, NewEvent } from './event.ts';
import { jsonText } from './json-text.ts';
import { sessionOf } from './session.ts';
import { type ConversationRow, keyOf, newestConversation, type SpaceState } from './state.ts';

/** A person says something. All ids are made beforehand, so that deciding twice gives the same answer. */
export interface AppendMessage {
  readonly userId: string;
  readonly actor: Actor;
  /** Undefined: the newest conversation, or a new one. */
  readonly conversationId?: string | undefined;
  readonly clientMessageId: string;
  readonly text: string;
  /** Undefined: the session's. */
  readonly persona?: string | undefined;
  /** JSON text. */
  readonly attachments?: string | undefined;
  /** Whether an answer is asked for. */
  readonly reply: boolean;
  readonly ids: {
    readonly message: string;
    readonly conversation: string;
    readonly turn: string;
    readonly answer: string;
  };
  readonly nowMs: number;
}

/** Where the message is, and the turn that will answer it. */
export interface Appended {
  readonly messageId: string;
  readonly conversationId: string;
  readonly turnId?: string | undefined;
  readonly answerMessageId?: string | undefined;
  readonly offset: number;
  readonly duplicate: boolean;
  readonly persona: string;
}

const titleLength = 60;

/** A title from the first words of a text: one line, at most 60 code points, cut at a word when there is one. */
export const titleOf = (text: string): string => {
  const line = text.trim().replace(/\s+/g, ' ');
  const points = Array.from(line);
  if (points.length <= titleLength) return line;
  const cut = points.slice(0, titleLength).join('');
  const word = cut.lastIndexOf(' ');
  return `${(word > titleLength / 2 ? cut.slice(0, word) : cut).trimEnd()}…`;
};

/**
 * Appends a message once per (person, client message id): the second time the first answer is given again. A
 * message without a conversation to go to makes one, in the same unit.
 */
export const appendMessage = (state: SpaceState, command: AppendMessage): Decision<Appended> => {
  const { userId, actor, ids, nowMs, text } = command;
  const denied = requireRole(state, userId, 'editor');
  if (denied) return denied;
  const before = state.messages.get(keyOf(userId, command.clientMessageId));
  if (before) {
    const answer = before.turnId === null ? undefined : state.turns.get(before.turnId)?.answerId;
    return unchanged({
      messageId: before.id,
      conversationId: before.conversationId,
      turnId: before.turnId ?? undefined,
      answerMessageId: answer,
      offset: before.offset,
      duplicate: true,
      persona: before.persona,
    });
  }
  const known = command.conversationId
    ? state.conversations.get(command.conversationId)
    : newestConversation(state);
  if (command.conversationId && !known) return refuse('not_found', 'There is no such conversation');

  const events: NewEvent[] = [];
  if (!known)
    events.push({
      type: 'conversation.created',
      actor,
      data: { conversationId: ids.conversation, title: titleOf(text) },
    });
  const offset = state.head + events.length + 1;
  const conversation: ConversationRow = known ?? {
    id: ids.conversation,
    space: state.id,
    title: titleOf(text),
    parent: null,
    forkedAt: null,
    createdAtMs: nowMs,
    updatedAtMs: nowMs,
    head: null,
    count: 0,
    offset,
  };
  const persona = command.persona ?? sessionOf(state).persona;
  const turnId = command.reply ? ids.turn : null;
  events.push({
    type: 'message.created',
    actor,
    data: {
      messageId: ids.message,
      conversationId: conversation.id,
      role: 'user',
      clientMessageId: command.clientMessageId,
      text,
      turnId: turnId ?? undefined,
      answerMessageId: turnId === null ? undefined : ids.answer,
      persona,
      attachments: command.attachments === undefined ? undefined : jsonText(command.attachments),
    },
  });
  return {
    result: {
      messageId: ids.message,
      conversationId: conversation.id,
      turnId: turnId ?? undefined,
      answerMessageId: turnId === null ? undefined : ids.answer,
      offset,
      duplicate: false,
      persona,
    },
    events,
    writes: {
      conversations: [
        {
          ...conversation,
          updatedAtMs: Math.max(conversation.updatedAtMs, nowMs),
          head: ids.message,
          count: conversation.count + 1,
          offset,
        },
      ],
      messages: [
        {
          id: ids.message,
          space: state.id,
          conversationId: conversation.id,
          role: 'user',
          text,
          offset,
          timeMs: nowMs,
          userId,
          platform: actor.platform,
          persona,
          turnId,
          clientMessageId: command.clientMessageId,
          state: 'complete',
          attachments: command.attachments ?? null,
          meta: null,
        },
      ],
      turns:
        turnId === null
          ? []
          : [
              {
                id: turnId,
                space: state.id,
                conversationId: conversation.id,
                messageId: ids.message,
                answerId: ids.answer,
                userId,
                persona,
                state: 'queued',
                createdAtMs: nowMs,
                startedOffset: 0,
              },
            ],
    },
  };
};
