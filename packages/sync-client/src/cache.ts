import type { Conversation, SessionState, SpaceState } from './model.ts';
import { emptyState } from './model.ts';
import { interrupted, type Outbox } from './outbox.ts';
import type { KeyValue } from './ports.ts';

/** Raised when the shape of what is kept changes: an older one is then ignored, not misread. */
const version = 2;
/** Browsers give a page about 5 MB of storage; this leaves room for the rest and stays quick to write. */
export const cacheMaxChars = 2_000_000;
/** Newest messages kept per conversation; the rest is paged in again. */
export const cachedMessagesMax = 60;
/** Conversations whose messages are kept; the others keep their title only. */
export const cachedConversationsMax = 20;

/**
 * Keeps the state and its positions as **one** value: a position without the state it stands for would resume
 * into nothing. Too big or refused by the browser: nothing is kept and the next start asks for a snapshot.
 */
export function saveCache(storage: KeyValue, key: string, state: SessionState): void {
  const { outbox: _own, queues: _kept, logs: _with, unsettled: _too, ...ours } = state;
  const { turns: _running, connection: _gone, settling: _comesAgain, ...rest } = ours;
  const spaces = Object.fromEntries(Object.entries(state.spaces).map(([id, space]) => [id, trimmed(space)]));
  const text = JSON.stringify({ version, state: { ...rest, spaces } });
  try {
    if (text.length > cacheMaxChars) storage.removeItem(key);
    else storage.setItem(key, text);
  } catch {
    storage.removeItem(key); // Full: an older value would be a position from another time, so none at all.
  }
}

/** The kept state of this user, or the empty one. Running answers come again as `token {from: 0}`. */
export function loadCache(storage: KeyValue, key: string): SessionState {
  const kept = parse(storage, key) as { version?: unknown; state?: SessionState } | undefined;
  if (kept?.version !== version || typeof kept.state !== 'object') return emptyState;
  return { ...emptyState, ...kept.state };
}

/** Keeps messages that wait, so that closing the page loses none. `false`: the browser keeps nothing. */
export function saveOutbox(storage: KeyValue, key: string, outbox: Outbox): boolean {
  try {
    if (outbox.length === 0) storage.removeItem(key);
    else storage.setItem(key, JSON.stringify({ version, outbox }));
    return true;
  } catch {
    return false; // They still wait in memory, and the page shows them as waiting.
  }
}

/** The kept outbox; what was under way waits again. */
export function loadOutbox(storage: KeyValue, key: string): Outbox {
  const kept = parse(storage, key) as { version?: unknown; outbox?: unknown } | undefined;
  return kept?.version === version && Array.isArray(kept.outbox) ? interrupted(kept.outbox as Outbox) : [];
}

function parse(storage: KeyValue, key: string): unknown {
  try {
    return JSON.parse(storage.getItem(key) ?? 'null') ?? undefined;
  } catch {
    return undefined; // Not ours or cut short: start without it.
  }
}

function trimmed(space: SpaceState): SpaceState {
  const { partial: _interrupted, ...rest } = space;
  const kept = new Set(
    Object.values(space.conversations)
      .toSorted((a, b) => b.updatedMs - a.updatedMs)
      .slice(0, cachedConversationsMax)
      .map((conversation) => conversation.id),
  );
  const conversations = Object.fromEntries(
    Object.entries(space.conversations).map(([id, c]) => [id, kept.has(id) ? shortened(c) : emptied(c)]),
  );
  return { ...rest, presence: [], typing: {}, conversations };
}

/** A cut conversation has lost its cursor to older messages: the newest page brings a new one. */
function shortened(conversation: Conversation): Conversation {
  if (conversation.messages.length <= cachedMessagesMax) return conversation;
  const { older: _lost, ...rest } = conversation;
  return { ...rest, messages: conversation.messages.slice(-cachedMessagesMax), history: 'stale' };
}

function emptied(conversation: Conversation): Conversation {
  const { older: _lost, ...rest } = conversation;
  return { ...rest, messages: [], history: conversation.count === 0 ? 'loaded' : 'none' };
}
