import type { syncV1 } from '@skein/contracts';
import type { RpcClient } from '@skein/rpc';
import type { HistoryMessage, Session } from '../app/ports.ts';
import type { TurnOutcome } from '../domain/turn.ts';

type SyncClient = RpcClient<typeof syncV1.SyncServiceService>;

/** Collections a person keeps texts in. */
const noteCollections = ['note', 'knowledge_base'];

const toHistory = (message: syncV1.Message): HistoryMessage => ({
  id: message.id,
  role: message.role === 'assistant' ? 'assistant' : 'user',
  text: message.text,
  timeMs: message.timeMs,
});

const toNote = (document: syncV1.Document): { title: string; text: string } => {
  const value: unknown = JSON.parse(document.valueJson);
  if (typeof value === 'string') return { title: document.id, text: value };
  const fields = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  const title = typeof fields['title'] === 'string' ? fields['title'] : document.id;
  const text = ['text', 'content', 'body'].map((key) => fields[key]).find((one) => typeof one === 'string');
  return { title, text: typeof text === 'string' ? text : document.valueJson };
};

/** The session over session-sync's gRPC API. */
export const grpcSession = (sync: SyncClient): Session => ({
  roleIn: async (space, ctx) => (await sync.getSpace({ space }, ctx)).space?.role ?? '',
  start: async (turn, ctx) => {
    const { messageId, ended } = await sync.startTurn({ space: turn.space, turnId: turn.id }, ctx);
    return { messageId, ended: ended === '' ? undefined : (ended as TurnOutcome) };
  },
  end: async (turn, ending, ctx) => {
    const { outcome } = await sync.endTurn(
      {
        space: turn.space,
        turnId: turn.id,
        outcome: ending.outcome,
        text: ending.text,
        errorCode: ending.errorCode,
        metaJson: JSON.stringify(ending.meta),
      },
      ctx,
    );
    return outcome as TurnOutcome;
  },
  publishTokens: async (turn, from, text, ctx) => {
    await sync.publishTokens(
      {
        space: turn.space,
        conversationId: turn.conversationId,
        turnId: turn.id,
        messageId: turn.messageId,
        from,
        text,
      },
      ctx,
    );
  },
  history: async (turn, limit, ctx) => {
    const { items } = await sync.listMessages(
      { space: turn.space, conversationId: turn.conversationId, limit, cursor: '' },
      ctx,
    );
    return items.map(toHistory);
  },
  search: async (turn, query, limit, ctx) => {
    const { items } = await sync.searchMessages({ space: turn.space, query, limit }, ctx);
    return items.map((item) => ({ ...toHistory(item), conversationId: item.conversationId }));
  },
  notes: async (turn, limit, ctx) => {
    const pages = await Promise.all(
      noteCollections.map((collection) =>
        sync.listDocuments({ space: turn.space, collection, limit, cursor: '' }, ctx),
      ),
    );
    return pages.flatMap((page) => page.items.map(toNote));
  },
  memoryEnabled: async (turn, ctx) => {
    const { items } = await sync.listDocuments(
      { space: turn.space, collection: 'session', limit: 10, cursor: '' },
      ctx,
    );
    const current = items.find((item) => item.id === 'current');
    if (!current) return true;
    const value = JSON.parse(current.valueJson) as { memoryEnabled?: unknown };
    return value.memoryEnabled !== false;
  },
});
