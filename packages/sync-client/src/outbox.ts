/**
 * Where a message goes: a conversation that exists, or one to be made first, named by a local key. The title
 * belongs to the key: making it a second time with another one would be refused.
 */
export type Target = { readonly conversationId: string } | { readonly draft: string; readonly title: string };

/** A message a person has sent and the server has not yet told everybody about. */
export interface OutboxEntry {
  /** Makes sending it again harmless: the server keeps one message per id. */
  readonly clientMessageId: string;
  readonly target: Target;
  readonly text: string;
  readonly queuedMs: number;
  /** `sent`: accepted, its event is on the way. `failed`: stays until the person retries or discards it. */
  readonly state: 'waiting' | 'sending' | 'sent' | 'failed';
  /** Code of the refusal when `failed`. */
  readonly errorCode?: string;
}

/** Messages in the order they were written. */
export type Outbox = readonly OutboxEntry[];

/** What one person may pile up while offline. More is refused visibly, never dropped silently. */
export const outboxMax = 200;

/** The outbox with one more, or `undefined` when it is full. */
export function enqueue(outbox: Outbox, entry: OutboxEntry): Outbox | undefined {
  return outbox.length >= outboxMax ? undefined : [...outbox, entry];
}

/** Titles come from the first words of the first message; a list shows no more. */
const titleMax = 60;

/** The target of a draft: with the title it has already, or one from the text that is its first. */
export function draftTarget(outbox: Outbox, draft: string, text: string): Target {
  const known = outbox.find((entry) => 'draft' in entry.target && entry.target.draft === draft);
  if (known !== undefined) return known.target;
  const line = text.trim().split('\n', 1).join('');
  return { draft, title: [...line].slice(0, titleMax).join('') };
}

/** The entry to send now: the oldest waiting one, and only when none is under way, so order is kept. */
export function nextToSend(outbox: Outbox): OutboxEntry | undefined {
  if (outbox.some((entry) => entry.state === 'sending')) return undefined;
  return outbox.find((entry) => entry.state === 'waiting');
}

/** The outbox with one entry in another state. */
export function mark(
  outbox: Outbox,
  clientMessageId: string,
  state: OutboxEntry['state'],
  errorCode?: string,
): Outbox {
  return outbox.map((entry) => {
    if (entry.clientMessageId !== clientMessageId) return entry;
    const { errorCode: _old, ...rest } = entry;
    return { ...rest, state, ...(errorCode === undefined ? {} : { errorCode }) };
  });
}

/** The connection is gone: what was under way waits again and is sent with the same id. */
export function interrupted(outbox: Outbox): Outbox {
  return outbox.map((entry) => (entry.state === 'sending' ? { ...entry, state: 'waiting' } : entry));
}

/** The conversation a draft stood for exists now: everything written for it goes there. */
export function resolveDraft(outbox: Outbox, draft: string, conversationId: string): Outbox {
  return outbox.map((entry) =>
    'draft' in entry.target && entry.target.draft === draft
      ? { ...entry, target: { conversationId } }
      : entry,
  );
}

/** The outbox without one entry: its event came, or the person discarded it. */
export function remove(outbox: Outbox, clientMessageId: string): Outbox {
  return outbox.filter((entry) => entry.clientMessageId !== clientMessageId);
}
