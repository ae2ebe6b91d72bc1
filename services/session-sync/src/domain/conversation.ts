import { type Decision, refuse, requireRole, unchanged } from './decision.ts';
import type { Actor } from './event.ts';
import type { ConversationRow, SpaceState } from './state.ts';

/** A conversation without a message yet. The same id again is the same request. */
export interface CreateConversation {
  readonly userId: string;
  readonly actor: Actor;
  readonly id: string;
  readonly title: string;
  readonly nowMs: number;
}

/** A conversation that goes on from a message of another one. The same id again is the same request. */
export interface ForkConversation extends CreateConversation {
  readonly parent: string;
  /** The last message both have. */
  readonly messageId: string;
  /** How many messages both have. */
  readonly count: number;
  /** For whoever reads the log later. */
  readonly reason: string;
}

/** Another title for a conversation. */
export interface RenameConversation {
  readonly userId: string;
  readonly actor: Actor;
  readonly id: string;
  readonly title: string;
  /** For whoever reads the log later. */
  readonly reason: string;
}

/** Makes a conversation once per id; the same id with another title is refused. */
export const createConversation = (
  state: SpaceState,
  command: CreateConversation,
): Decision<ConversationRow> => {
  const denied = requireRole(state, command.userId, 'editor');
  if (denied) return denied;
  const known = state.conversations.get(command.id);
  if (known)
    return known.title === command.title
      ? unchanged(known)
      : refuse('idempotency_mismatch', 'This key made another conversation');
  const row: ConversationRow = {
    id: command.id,
    space: state.id,
    title: command.title,
    parent: null,
    forkedAt: null,
    createdAtMs: command.nowMs,
    updatedAtMs: command.nowMs,
    head: null,
    count: 0,
    offset: state.head + 1,
  };
  return {
    result: row,
    events: [
      {
        type: 'conversation.created',
        actor: command.actor,
        data: { conversationId: row.id, title: row.title },
      },
    ],
    writes: { conversations: [row] },
  };
};

/** Makes a fork once per id. The messages up to its first own one stay where they were said. */
export const forkConversation = (state: SpaceState, command: ForkConversation): Decision<ConversationRow> => {
  const denied = requireRole(state, command.userId, 'editor');
  if (denied) return denied;
  const known = state.conversations.get(command.id);
  if (known)
    return known.forkedAt === command.messageId && known.parent === command.parent
      ? unchanged(known)
      : refuse('idempotency_mismatch', 'This key made another conversation');
  const { id, title, parent, messageId, count, reason, nowMs } = command;
  const row: ConversationRow = {
    ...{ id, space: state.id, title, parent, forkedAt: messageId, createdAtMs: nowMs, updatedAtMs: nowMs },
    ...{ head: messageId, count, offset: state.head + 1 },
  };
  const data = { conversationId: id, title, parent, messageId, count, reason: reason || undefined };
  return {
    result: row,
    events: [{ type: 'conversation.forked', actor: command.actor, data }],
    writes: { conversations: [row] },
  };
};

/** Gives a conversation another title; it stays where it is in the list. */
export const renameConversation = (
  state: SpaceState,
  { userId, actor, id, title, reason }: RenameConversation,
): Decision<ConversationRow> => {
  const denied = requireRole(state, userId, 'editor');
  if (denied) return denied;
  const known = state.conversations.get(id);
  if (!known) return refuse('not_found', 'There is no such conversation');
  if (known.title === title) return unchanged(known);
  const row: ConversationRow = { ...known, title, offset: state.head + 1 };
  const data = { conversationId: id, title, reason: reason || undefined };
  return {
    result: row,
    events: [{ type: 'conversation.renamed', actor, data }],
    writes: { conversations: [row] },
  };
};
