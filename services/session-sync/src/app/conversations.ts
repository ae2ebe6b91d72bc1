import { AppError } from '@skein/contracts';
import { v5 } from 'uuid';
import { createConversation, forkConversation, renameConversation } from '../domain/conversation.ts';
import type { Actor } from '../domain/event.ts';
import type { ConversationRow, MessageRow } from '../domain/state.ts';
import { once } from './once.ts';
import { type AppParts, visibleSpace } from './parts.ts';
import { isId } from './personal-space.ts';
import type { Call, Page, PageRequest } from './ports.ts';
import { rankMatches, searchTerms } from './search.ts';
import { checkedText, pageLimit, reasonBytes, titleBytes } from './validate.ts';
import type { Unit } from './writer.ts';

/** Fixed for good: a conversation's id comes from its space and the key of the request that made it. */
const conversationNamespace = 'd2f8c9b1-77a5-4a3e-b0c4-9f1e6a5d3b20';
const queryBytes = 1_024;
/** Forks of forks: each is one more look-up for a page of messages. */
const maxForkDepth = 32;

const actorOf = (call: Call): Actor => ({
  ...{ kind: 'user', user: call.userId, device: call.device?.id, platform: call.platform },
});
const noConversation = () => new AppError('not_found', 'There is no such conversation');

/** What is asked of a fork. */
interface Fork {
  readonly conversationId: string;
  readonly messageId: string;
  /** Empty: that of the conversation. */
  readonly title: string;
  readonly reason: string;
}

/** Conversations and what was said in them. */
export const conversationUseCases = (parts: AppParts) => {
  const { writer, history, names, ids, sha256 } = parts;
  return {
    list: async (call: Call, space: string, page: PageRequest): Promise<Page<ConversationRow>> => {
      const { id } = await visibleSpace(parts, call, space);
      return history.conversations(id, page);
    },
    create: async (call: Call, space: string, title: string, key: string): Promise<ConversationRow> => {
      const id = await names.resolve(call.userId, space);
      const command = {
        userId: call.userId,
        actor: actorOf(call),
        id: key === '' ? ids.next() : v5(JSON.stringify([id, call.userId, key]), conversationNamespace),
        title: checkedText('title', title, { min: 0, max: titleBytes }),
      } as const;
      const unit: Unit<ConversationRow> = {
        space: id,
        needs: { members: [call.userId], conversation: command.id },
        decide: (state, nowMs) => createConversation(state, { ...command, nowMs }),
        correlationId: call.correlationId,
        traceparent: call.traceparent,
      };
      const body = [id, command.title];
      return writer.write(once(sha256, unit, call, 'CreateConversation', body), call.signal);
    },
    /** A conversation that goes on from a message of another one. */
    fork: async (call: Call, space: string, asked: Fork): Promise<ConversationRow> => {
      const { id } = await visibleSpace(parts, call, space);
      const { conversationId: parent, messageId } = asked;
      const title = checkedText('title', asked.title, { min: 0, max: titleBytes });
      const reason = checkedText('reason', asked.reason, { min: 0, max: reasonBytes });
      if (!isId(parent)) throw noConversation();
      const place = isId(messageId) ? await history.placeOf(id, parent, messageId) : undefined;
      if (!place) throw new AppError('not_found', 'There is no such message in this conversation');
      if (place.depth >= maxForkDepth)
        throw new AppError('invalid_request', `Forks of forks go ${maxForkDepth} deep; fork an earlier one`);
      const key = call.idempotencyKey;
      const command = {
        ...{ userId: call.userId, actor: actorOf(call), parent, messageId, reason },
        id:
          key === undefined
            ? ids.next()
            : v5(JSON.stringify([id, call.userId, 'fork', key]), conversationNamespace),
        title: title || place.title,
        count: place.count,
      };
      const unit: Unit<ConversationRow> = {
        space: id,
        needs: { members: [call.userId], conversation: command.id },
        decide: (state, nowMs) => forkConversation(state, { ...command, nowMs }),
        correlationId: call.correlationId,
        traceparent: call.traceparent,
      };
      return writer.write(once(sha256, unit, call, 'ForkConversation', [id, asked]), call.signal);
    },
    rename: async (
      call: Call,
      space: string,
      asked: { readonly conversationId: string; readonly title: string; readonly reason: string },
    ): Promise<ConversationRow> => {
      const id = await names.resolve(call.userId, space);
      if (!isId(asked.conversationId)) throw noConversation();
      const command = {
        ...{ userId: call.userId, actor: actorOf(call), id: asked.conversationId },
        title: checkedText('title', asked.title, { max: titleBytes }),
        reason: checkedText('reason', asked.reason, { min: 0, max: reasonBytes }),
      };
      const unit: Unit<ConversationRow> = {
        space: id,
        needs: { members: [call.userId], conversation: command.id },
        decide: (state) => renameConversation(state, command),
        correlationId: call.correlationId,
        traceparent: call.traceparent,
      };
      const body = [id, command.id, command.title, command.reason];
      return writer.write(once(sha256, unit, call, 'RenameConversation', body), call.signal);
    },
    /** Newest page first, each page oldest first; a fork has the messages from before it as well. */
    messages: async (
      call: Call,
      space: string,
      conversationId: string,
      page: PageRequest,
    ): Promise<Page<MessageRow>> => {
      const { id } = await visibleSpace(parts, call, space);
      if (
        conversationId !== '' &&
        !(isId(conversationId) && (await history.hasConversation(id, conversationId)))
      )
        throw noConversation();
      return history.messages(id, conversationId || undefined, page);
    },
    /** Messages of this space that share the most with the query, best first. */
    search: async (
      call: Call,
      space: string,
      query: string,
      limit: number,
    ): Promise<readonly MessageRow[]> => {
      const { id } = await visibleSpace(parts, call, space);
      const terms = searchTerms(checkedText('query', query, { max: queryBytes }));
      if (terms.length === 0) return [];
      return rankMatches(await history.containing(id, terms), terms, pageLimit(limit, 10, 50));
    },
  };
};
