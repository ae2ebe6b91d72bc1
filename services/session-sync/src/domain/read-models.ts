import { encodeHlc } from '@skein/sync-core';
import { contentTypes } from './contents.ts';
import { memberText } from './json-text.ts';
import {
  type ConversationRow,
  type DocumentRow,
  keyOf,
  type MemberRow,
  type MessageRow,
  type Role,
  type TurnEndRow,
  type TurnOutcome,
  type TurnRow,
} from './state.ts';
import { answerFields } from './turn.ts';

/** An event of a log, as read models are made of it. */
export interface ReadEvent {
  readonly space: string;
  readonly offset: number;
  readonly type: string;
  readonly timeMs: number;
  /** The public Event. */
  readonly json: string;
}

/**
 * What the logs of spaces say is there. Rows of documents also have what no event tells: the stamps of their fields and
 * the times and versions of classic clients; here as if each had been written whole, at the time of its last event.
 */
export interface ReadModels {
  readonly documents: Map<string, DocumentRow>;
  readonly conversations: Map<string, ConversationRow>;
  readonly messages: Map<string, MessageRow>;
  readonly turns: Map<string, TurnRow>;
  readonly turnEnds: Map<string, TurnEndRow>;
  /** A role of null: gone. */
  readonly members: Map<string, MemberRow>;
}

/** Types of events that read models are made of: what a space holds, and besides who answers and who is in it. */
export const readModelTypes = [
  ...contentTypes,
  'turn.started',
  'member.added',
  'member.changed',
  'member.removed',
] as const;

/** Before the first event. */
export const emptyReadModels = (): ReadModels => ({
  documents: new Map(),
  conversations: new Map(),
  messages: new Map(),
  turns: new Map(),
  turnEnds: new Map(),
  members: new Map(),
});

/** The parts of public events that rows are made of; which of them there are says the type. */
interface Parsed {
  readonly actor: { readonly user?: string; readonly platform: string };
  readonly data: Readonly<Record<string, unknown>> & {
    readonly id: string;
    readonly collection: string;
    readonly version: number;
    readonly hash: string;
    readonly timestamp?: number;
    readonly conversationId: string;
    readonly title: string;
    readonly parent: string;
    readonly count: number;
    readonly messageId: string;
    readonly text: string;
    /** These are missing where the words of somebody were erased. */
    readonly clientMessageId?: string;
    readonly persona?: string;
    readonly turnId?: string;
    readonly answerMessageId?: string;
    readonly userId: string;
    readonly role: Role;
  };
}

/** Which rows an event changes, by the keys of the maps. */
export interface TouchedKeys {
  readonly document?: { readonly collection: string; readonly id: string };
  readonly conversation?: string;
  readonly turn?: string;
  readonly member?: string;
}

/** What must be known of before an event is applied. */
export const touchedBy = ({ type, json }: ReadEvent): TouchedKeys => {
  const { data } = JSON.parse(json) as Parsed;
  if (type.startsWith('document.')) return { document: data };
  if (type.startsWith('member.')) return { member: data.userId };
  return {
    ...(data.conversationId === undefined ? {} : { conversation: data.conversationId }),
    ...(data.turnId === undefined ? {} : { turn: data.turnId }),
  };
};

/** Until the turn is started or ended, where its question was erased. */
const unknownAnswer = '00000000-0000-0000-0000-000000000000';

const outcomes: Readonly<Record<string, TurnOutcome>> = {
  'message.completed': 'completed',
  'turn.cancelled': 'cancelled',
  'turn.failed': 'failed',
};

const applyDocument = ({ documents }: ReadModels, event: ReadEvent, { data }: Parsed): void => {
  const { space, offset, timeMs } = event;
  const { collection, id, version } = data;
  const key = keyOf(space, collection, id);
  const deleted = event.type === 'document.deleted';
  const before = documents.get(key);
  const value = deleted
    ? (before?.value ?? 'null')
    : (memberText(memberText(event.json, 'data') ?? '{}', 'value') ?? 'null');
  documents.set(key, {
    ...{ space, collection, id, version, loggedVersion: version, value, offset, deleted },
    hash: deleted ? (before?.hash ?? '') : data.hash,
    fields: JSON.stringify({ '': { version, hlc: encodeHlc({ ms: timeMs, counter: 0, device: '' }) } }),
    ...{ updatedAtMs: timeMs, clientTimeMs: data.timestamp ?? timeMs },
  });
};

const applyMessage = (models: ReadModels, event: ReadEvent, { actor, data }: Parsed): void => {
  const { space, offset, timeMs, type } = event;
  const { conversationId, messageId, text, persona = '', turnId } = data;
  const common = { space, conversationId, text, offset, timeMs, persona, platform: actor.platform };
  const conversation = models.conversations.get(conversationId);
  if (conversation)
    models.conversations.set(conversationId, {
      ...{ ...conversation, offset, head: messageId, count: conversation.count + 1 },
      updatedAtMs: Math.max(conversation.updatedAtMs, timeMs),
    });
  if (type === 'message.created') {
    const attachments = memberText(memberText(event.json, 'data') ?? '{}', 'attachments') ?? null;
    const userId = actor.user ?? '';
    models.messages.set(messageId, {
      ...{ ...common, id: messageId, role: 'user', userId, turnId: turnId ?? null },
      ...{ clientMessageId: data.clientMessageId ?? null, state: 'complete', attachments, meta: null },
    });
    if (turnId !== undefined)
      models.turns.set(turnId, {
        ...{ id: turnId, space, conversationId, messageId, answerId: data.answerMessageId ?? unknownAnswer },
        ...{ userId, persona, state: 'queued', createdAtMs: timeMs, startedOffset: 0 },
      });
    return;
  }
  const outcome = outcomes[type] ?? 'failed';
  const meta = Object.fromEntries(Object.entries(data).filter(([key]) => !answerFields.has(key)));
  models.messages.set(messageId, {
    ...{ ...common, id: messageId, role: 'assistant', userId: null, turnId: turnId ?? null },
    ...{ clientMessageId: null, state: outcome === 'completed' ? 'complete' : outcome, attachments: null },
    meta: Object.keys(meta).length === 0 ? null : JSON.stringify(meta),
  });
  if (turnId === undefined) return;
  models.turnEnds.set(turnId, { space, turnId, outcome, offset, timeMs });
  const turn = models.turns.get(turnId);
  if (turn) models.turns.set(turnId, { ...turn, state: 'ended', answerId: messageId });
};

/** Applies the next event of `readModelTypes` of its space. */
export const applyToReadModels = (models: ReadModels, event: ReadEvent): void => {
  const parsed = JSON.parse(event.json) as Parsed;
  const { data } = parsed;
  const { space, offset, timeMs } = event;
  const { conversationId: id, title } = data;
  const known = models.conversations.get(id);
  const times = { createdAtMs: timeMs, updatedAtMs: timeMs };
  switch (event.type) {
    case 'document.changed':
    case 'document.deleted':
      applyDocument(models, event, parsed);
      break;
    case 'conversation.created':
      models.conversations.set(id, {
        ...{ id, space, title, parent: null, forkedAt: null, ...times, head: null, count: 0, offset },
      });
      break;
    case 'conversation.forked': {
      const { parent, messageId, count } = data;
      models.conversations.set(id, {
        ...{ id, space, title, parent, forkedAt: messageId, ...times, head: messageId, count, offset },
      });
      break;
    }
    case 'conversation.renamed':
      if (known) models.conversations.set(id, { ...known, title, offset });
      break;
    case 'turn.started': {
      const turn = models.turns.get(data.turnId ?? '');
      if (turn)
        models.turns.set(turn.id, {
          ...{ ...turn, state: 'streaming', startedOffset: offset, answerId: data.messageId },
        });
      break;
    }
    case 'member.added':
    case 'member.changed':
    case 'member.removed': {
      const key = keyOf(space, data.userId);
      const role = event.type === 'member.removed' ? null : data.role;
      const before = models.members.get(key);
      const joinedAtMs = before && before.role !== null ? before.joinedAtMs : timeMs;
      models.members.set(key, { space, userId: data.userId, role, joinedAtMs });
      break;
    }
    default:
      applyMessage(models, event, parsed);
  }
};
