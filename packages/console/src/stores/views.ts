import {
  type Conversation,
  documentKey,
  fields,
  type Outbox,
  type SpaceState,
  str,
} from '@skein/sync-client';

/** Conversations, the one last spoken in first. */
export function byRecency(space: SpaceState): readonly Conversation[] {
  return Object.values(space.conversations).toSorted((a, b) => b.updatedMs - a.updatedMs);
}

/** The title of a conversation: its own, else the start of what was first said. */
export function titleOf(conversation: Conversation): string {
  if (conversation.title !== '') return conversation.title;
  const first = conversation.messages.find((message) => message.role === 'user')?.text ?? '';
  return first.trim().split('\n', 1).join('').slice(0, 80);
}

/** The persona that a turn's question was put to; empty when it is not known here. */
export function personaAsked(conversation: Conversation | undefined, turnId: string | undefined): string {
  const asked = conversation?.messages.findLast((m) => m.role === 'user' && m.turnId === turnId);
  return turnId === undefined ? '' : (asked?.persona ?? '');
}

/** What waits to be sent in the open conversation. */
export function shownOutbox(outbox: Outbox, conversationId: string | undefined, draft: string): Outbox {
  return outbox.filter((entry) =>
    'draft' in entry.target
      ? conversationId === undefined && entry.target.draft === draft
      : entry.target.conversationId === conversationId,
  );
}

/** The space's `session/current`. Memory is on until somebody has switched it off. */
export function sessionSettings({ documents }: Pick<SpaceState, 'documents'>): {
  persona: string | undefined;
  memoryEnabled: boolean;
} {
  const value = fields(documents[documentKey('session', 'current')]?.value);
  return { persona: str(value['persona']) || undefined, memoryEnabled: value['memoryEnabled'] !== false };
}

/** What a key pressed in the message box does. */
export type KeyAction = 'send' | 'stop' | undefined;

/**
 * Enter sends and Esc stops, but never while an input method composes: there Enter picks a word and Esc drops
 * one. Safari ends the composition before the key arrives and only its code, 229, still tells.
 */
export function keyAction(key: {
  readonly key: string;
  readonly shiftKey: boolean;
  readonly isComposing: boolean;
  readonly keyCode: number;
}): KeyAction {
  if (key.isComposing || key.keyCode === 229) return undefined;
  if (key.key === 'Enter' && !key.shiftKey) return 'send';
  return key.key === 'Escape' ? 'stop' : undefined;
}
