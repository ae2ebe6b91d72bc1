/** A conversation, as far as its messages and its last title go. */
interface ConversationPlace {
  /** Of the event that gave it its title. */
  readonly titleAt: number;
  readonly head: string | undefined;
  readonly count: number;
}

/**
 * What a space holds at one offset, as places in its log: of each live document the offset of its last event, so that
 * texts are in the log alone.
 */
export interface Contents {
  readonly documents: Map<string, number>;
  readonly conversations: Map<string, ConversationPlace>;
}

/** Types of events that change what a space holds. */
export const contentTypes = [
  'document.changed',
  'document.deleted',
  'conversation.created',
  'conversation.forked',
  'conversation.renamed',
  'message.created',
  'message.completed',
  'turn.cancelled',
  'turn.failed',
] as const;

interface Data {
  readonly collection: string;
  readonly id: string;
  readonly conversationId: string;
  readonly messageId: string;
  readonly count: number;
}

/** Before the first event. */
export const emptyContents = (): Contents => ({ documents: new Map(), conversations: new Map() });

/** Applies the next event of `contentTypes`; `json` is the public Event. */
export const applyLogged = (
  { documents, conversations }: Contents,
  event: { readonly offset: number; readonly type: string; readonly json: string },
): void => {
  const { data } = JSON.parse(event.json) as { readonly data: Data };
  const titleAt = event.offset;
  const known = conversations.get(data.conversationId);
  switch (event.type) {
    case 'document.changed':
      documents.set(JSON.stringify([data.collection, data.id]), event.offset);
      break;
    case 'document.deleted':
      documents.delete(JSON.stringify([data.collection, data.id]));
      break;
    case 'conversation.created':
      conversations.set(data.conversationId, { titleAt, head: undefined, count: 0 });
      break;
    case 'conversation.forked':
      conversations.set(data.conversationId, { titleAt, head: data.messageId, count: data.count });
      break;
    case 'conversation.renamed':
      if (known) conversations.set(data.conversationId, { ...known, titleAt });
      break;
    default:
      if (known)
        conversations.set(data.conversationId, { ...known, head: data.messageId, count: known.count + 1 });
  }
};

/** As text, to be kept. */
export const encodeContents = ({ documents, conversations }: Contents): string =>
  JSON.stringify({ documents: [...documents], conversations: [...conversations] });

/** What `encodeContents` made. */
export const decodeContents = (text: string): Contents => {
  const { documents, conversations } = JSON.parse(text) as {
    readonly documents: [string, number][];
    readonly conversations: [string, ConversationPlace][];
  };
  return { documents: new Map(documents), conversations: new Map(conversations) };
};
