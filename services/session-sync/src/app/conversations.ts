import { AppError } from '@skein/contracts';
import { v5 } from 'uuid';
import { createConversation } from '../domain/conversation.ts';
import type { ConversationRow, MessageRow } from '../domain/state.ts';
import { once } from './once.ts';
import { type AppParts, visibleSpace } from './parts.ts';
import { isId } from './personal-space.ts';
import type { Call, Page, PageRequest } from './ports.ts';
import { rankMatches, searchTerms } from './search.ts';
import { checkedText, nameBytes, pageLimit } from './validate.ts';
import type { Unit } from './writer.ts';

/** Fixed for good: a conversation's id comes from its space and the key of the request that made it. */
const conversationNamespace = 'd2f8c9b1-77a5-4a3e-b0c4-9f1e6a5d3b20';
const queryBytes = 1_024;

/** Conversations and what was said in them. */
export const conversationUseCases = (parts: AppParts) => {
  const { writer, history, names, ids, clock, sha256 } = parts;
  return {
    list: async (call: Call, space: string, page: PageRequest): Promise<Page<ConversationRow>> => {
      const { id } = await visibleSpace(parts, call, space);
      return history.conversations(id, page);
    },
    create: async (call: Call, space: string, title: string, key: string): Promise<ConversationRow> => {
      const id = await names.resolve(call.userId, space);
      const command = {
        userId: call.userId,
        actor: { kind: 'user', user: call.userId, device: call.device?.id, platform: call.platform },
        id: key === '' ? ids.next() : v5(JSON.stringify([id, call.userId, key]), conversationNamespace),
        title: checkedText('title', title, { min: 0, max: nameBytes }),
        nowMs: clock.now(),
      } as const;
      const unit: Unit<ConversationRow> = {
        space: id,
        needs: { members: [call.userId], conversation: command.id },
        decide: (state) => createConversation(state, command),
        correlationId: call.correlationId,
        traceparent: call.traceparent,
      };
      const body = [id, command.title];
      return writer.write(once(sha256, unit, call, 'CreateConversation', body), call.signal);
    },
    /** Newest page first, each page oldest first. */
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
        throw new AppError('not_found', 'There is no such conversation');
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
