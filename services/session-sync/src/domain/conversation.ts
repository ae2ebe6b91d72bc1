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
