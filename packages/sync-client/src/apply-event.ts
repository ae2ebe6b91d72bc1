import { fields, readDocument, str } from './decode.ts';
import type { SyncEvent } from './frames.ts';
import { putMessage, readMessage } from './messages.ts';
import {
  type ChatMessage,
  documentKey,
  type SessionState,
  type SpaceState,
  withConversation,
  withSpace,
} from './model.ts';
import { remove } from './outbox.ts';
import { endTurn, startTurn } from './turns.ts';

/** Applies one event of a space's log. Types we do not draw change nothing; the position moves all the same. */
export function applyEvent(state: SessionState, space: string, event: SyncEvent): SessionState {
  const data = event.data;
  const conversationId = str(data['conversationId']) || str(data['id']);
  const message = (): ChatMessage => {
    const read = readMessage(data, event.timeMs);
    return { ...read, platform: read.platform || event.actor.platform };
  };
  switch (event.type) {
    case 'message.created': {
      const created = message();
      const next = withSpace(state, space, (s) =>
        withConversation(
          event.actor.device === state.device ? s : withoutTyping(s, conversationId),
          conversationId,
          (c) => putMessage(c, created),
        ),
      );
      if (created.clientMessageId === undefined) return next;
      return { ...next, outbox: remove(next.outbox, created.clientMessageId) };
    }
    case 'message.edited':
      return changeMessage(state, space, conversationId, str(data['messageId']), (m) => ({
        ...m,
        text: str(data['text']),
        edited: true,
      }));
    case 'message.deleted':
      return withSpace(state, space, (s) =>
        withConversation(s, conversationId, (c) => ({
          ...c,
          messages: c.messages.filter((m) => m.id !== str(data['messageId'])),
        })),
      );
    case 'turn.started':
      return startTurn(
        state,
        space,
        { conversationId, turnId: str(data['turnId']), messageId: str(data['messageId']) },
        event.timeMs,
        str(data['persona']),
      );
    case 'message.completed':
      return endTurn(state, space, conversationId, { ...message(), role: 'assistant', state: 'complete' });
    case 'turn.cancelled':
      return endTurn(state, space, conversationId, { ...message(), role: 'assistant', state: 'cancelled' });
    case 'turn.failed':
      return endTurn(state, space, conversationId, { ...message(), role: 'assistant', state: 'failed' });
    case 'conversation.created':
    case 'conversation.forked':
      return withSpace(state, space, (s) =>
        withConversation(s, conversationId, (c) => ({
          ...c,
          title: str(data['title']) || c.title,
          updatedMs: Math.max(c.updatedMs, event.timeMs),
          // Made just now: what the log brings from here on is all of it. A fork starts with older messages.
          history: event.type === 'conversation.created' ? 'loaded' : c.history,
        })),
      );
    case 'conversation.renamed':
      return withSpace(state, space, (s) =>
        withConversation(s, conversationId, (c) => ({ ...c, title: str(data['title']) })),
      );
    case 'document.changed':
      return withConflictNews(putDocument(state, space, readDocument(data)), space);
    case 'document.deleted':
      return withConflictNews(
        withSpace(state, space, (s) => {
          const { [documentKey(str(data['collection']), str(data['id']))]: _gone, ...documents } =
            s.documents;
          return { ...s, documents };
        }),
        space,
      );
    case 'conflict.detected':
    case 'conflict.resolved':
      return withConflictNews(state, space);
    case 'persona.changed':
      return sessionValue(state, space, { persona: str(data['persona']) });
    case 'memory.toggled':
      return sessionValue(state, space, { memoryEnabled: data['enabled'] === true });
    default:
      return state;
  }
}

/** A write may have met another one: conflicts that need no person have no event of their own. */
function withConflictNews(state: SessionState, space: string): SessionState {
  return withSpace(state, space, (s) => ({ ...s, conflictNews: s.conflictNews + 1 }));
}

/** What somebody was typing has been said. */
function withoutTyping(space: SpaceState, conversationId: string): SpaceState {
  const { [conversationId]: _said, ...typing } = space.typing;
  return { ...space, typing };
}

/** The state with one document replaced. */
export function putDocument(
  state: SessionState,
  space: string,
  document: ReturnType<typeof readDocument>,
): SessionState {
  const key = documentKey(document.collection, document.id);
  return withSpace(state, space, (s) => ({ ...s, documents: { ...s.documents, [key]: document } }));
}

/**
 * persona.changed and memory.toggled tell what `session/current` says now; its own document.changed, which
 * brings version and hash, may come before or after.
 */
function sessionValue(state: SessionState, space: string, change: Record<string, unknown>): SessionState {
  const key = documentKey('session', 'current');
  const before = state.spaces[space]?.documents[key];
  return putDocument(state, space, {
    collection: 'session',
    id: 'current',
    version: before?.version ?? 0,
    hash: before?.hash ?? '',
    value: { ...fields(before?.value), ...change },
  });
}

function changeMessage(
  state: SessionState,
  space: string,
  conversationId: string,
  id: string,
  change: (message: ChatMessage) => ChatMessage,
): SessionState {
  return withSpace(state, space, (s) =>
    withConversation(s, conversationId, (c) => ({
      ...c,
      messages: c.messages.map((m) => (m.id === id ? change(m) : m)),
    })),
  );
}
