import { fields, list, num, str, timeMs } from './decode.ts';
import type { Fields } from './frames.ts';
import type { ChatMessage, Conversation } from './model.ts';

/** A page of messages as REST gives it. `next` leads to older ones. */
export interface MessagePage {
  readonly items: readonly ChatMessage[];
  readonly next?: string;
}

/** Reads `GET …/messages`. */
export function readMessagePage(raw: unknown): MessagePage {
  const f = fields(raw);
  const next = str(f['next']);
  return {
    items: list(f['items']).map((item) => readMessage(fields(item), 0)),
    ...(next === '' ? {} : { next }),
  };
}

/**
 * A message from the data of an event or an item of a list. `eventMs` is the event's time; an item carries its
 * own. What kind of answerer it was may stand beside the text or in `meta`.
 */
export function readMessage(data: Fields, eventMs: number): ChatMessage {
  const meta = fields(data['meta']);
  const turnId = str(data['turnId']);
  const clientMessageId = str(data['clientMessageId']);
  const state = str(data['state']);
  return {
    id: str(data['messageId']) || str(data['id']),
    role: data['role'] === 'assistant' ? 'assistant' : 'user',
    text: str(data['text']),
    state: state === 'cancelled' || state === 'failed' || state === 'streaming' ? state : 'complete',
    timeMs: eventMs || timeMs(data['time']) || timeMs(data['createdAt']) || num(data['timeMs']),
    ...(turnId === '' ? {} : { turnId }),
    ...(clientMessageId === '' ? {} : { clientMessageId }),
    platform: str(data['platform']),
    persona: str(data['persona']),
    offline: data['offline'] === true || meta['offline'] === true,
    edited: data['edited'] === true || str(data['editedAt']) !== '',
    errorCode:
      str(data['errorCode']) || str(fields(data['error'])['code']) || str(data['error']) || str(data['code']),
  };
}

/** The conversation with one message put in or replaced. A known one keeps its place. */
export function putMessage(conversation: Conversation, message: ChatMessage): Conversation {
  const at = conversation.messages.findLastIndex((known) => known.id === message.id);
  const messages =
    at < 0 ? inOrder([...conversation.messages, message]) : conversation.messages.with(at, message);
  return {
    ...conversation,
    messages,
    count: at < 0 ? conversation.count + 1 : conversation.count,
    updatedMs: Math.max(conversation.updatedMs, message.timeMs),
  };
}

/**
 * The conversation with a page of older (or newest) messages. A newest page that touches nothing we have
 * replaces what we have, so that a hole is never shown as if it were none.
 */
export function mergePage(conversation: Conversation, page: MessagePage, newest: boolean): Conversation {
  const known = new Set(conversation.messages.map((message) => message.id));
  const touches = page.items.some((item) => known.has(item.id));
  const replace = newest && conversation.history === 'stale' && !touches && page.next !== undefined;
  const kept = replace
    ? conversation.messages.filter((message) => message.state === 'streaming')
    : conversation.messages;
  const keptIds = new Set(kept.map((message) => message.id));
  const fresh = new Map(page.items.map((item) => [item.id, item]));
  const merged = [
    ...kept.map((message) => settled(message, fresh.get(message.id))),
    ...page.items.filter((item) => !keptIds.has(item.id)),
  ];
  const keepCursor = newest && conversation.history === 'loaded';
  const { older: before, ...rest } = conversation;
  const older = keepCursor ? before : page.next;
  const messages = inOrder(merged);
  return {
    ...rest,
    messages,
    count: Math.max(conversation.count, messages.length),
    history: 'loaded',
    ...(older === undefined ? {} : { older }),
  };
}

/** The server's final text wins over ours, but a list may not say "offline" where the event did. */
function settled(ours: ChatMessage, theirs: ChatMessage | undefined): ChatMessage {
  if (theirs === undefined || (ours.state === 'streaming' && theirs.text.length < ours.text.length))
    return ours;
  return {
    ...ours,
    ...theirs,
    offline: ours.offline || theirs.offline,
    edited: ours.edited || theirs.edited,
  };
}

function inOrder(messages: readonly ChatMessage[]): readonly ChatMessage[] {
  return messages.toSorted((a, b) => a.timeMs - b.timeMs);
}
