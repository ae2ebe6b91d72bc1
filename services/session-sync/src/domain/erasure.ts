import { encodeHlc, type Fields, fieldPath, type Json, parseHlc, valueAt } from '@skein/sync-core';
import { type DocumentTrace, documentTrace } from './erasure-trace.ts';
import { encodeObject, jsonText } from './json-text.ts';
import { keyOf } from './state.ts';

/** The platform of whatever an erased person did. */
export const erasedPlatform = 'erased';

/** What the log keeps of an event that was the person's alone: its place. */
export const erasedType = 'event.erased';

/** The public Event that stands in that place. */
export const erasedEvent = (id: string, timeMs: number): string =>
  `{"id":${JSON.stringify(id)},"type":"${erasedType}","time":${timeMs},"actor":{"kind":"system","platform":"skein"},"data":{}}`;

/** An event as it is read from the log. */
export interface ReadEvent {
  readonly offset: number;
  readonly type: string;
  readonly json: string;
}

/** What an event becomes. */
export type Redacted = ReadEvent;

interface Actor {
  readonly kind: string;
  readonly user?: string;
  readonly platform: string;
}

interface PublicEvent {
  readonly id: string;
  readonly type: string;
  readonly time: number;
  readonly actor: Actor;
  readonly data: Readonly<Record<string, unknown>>;
}

/** What is known of a person's part in a space before its log is gone through. */
export interface PersonInSpace {
  readonly userId: string;
  /** Of the person's own turns, and of answers that quote them. */
  readonly turns: ReadonlySet<string>;
  /** Keys (`keyOf`) of documents to follow. */
  readonly documents: ReadonlySet<string>;
  /** Values of the person that lost, by the key of their document. */
  readonly lost: readonly { readonly key: string; readonly value: Json }[];
  readonly hashOf: (value: Json) => string;
}

/** What an event of the person tells beforehand: a document that was touched. */
export const factsOf = (
  userId: string,
  json: string,
): { readonly document?: string; readonly fresh: boolean } => {
  const { actor, type, data } = JSON.parse(json) as PublicEvent;
  if (actor.user !== userId) return { fresh: false };
  const fresh = actor.platform !== erasedPlatform;
  if (type.startsWith('document.') || type.startsWith('conflict.'))
    return { document: keyOf(String(data['collection']), String(data['id'])), fresh };
  return { fresh };
};

const fieldsOf = (data: PublicEvent['data'], names: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(names.filter((name) => data[name] !== undefined).map((name) => [name, data[name]]));

/** What is left of the end of a turn, and of a message. */
const placeOfMessage = ['turnId', 'messageId', 'conversationId', 'role', 'error'];

/** A log without one person, event by event in its order. */
export interface Redaction {
  /** Undefined: it stays as it is. */
  event(event: ReadEvent): Redacted | undefined;
  /** The documents that were followed. */
  readonly traces: ReadonlyMap<string, DocumentTrace>;
  /** Where the events about a followed document are. */
  offsetsOf(key: string): readonly number[];
  /** Conversations that have a title of the person now: their own, or one a fork has carried on. */
  readonly titled: ReadonlySet<string>;
}

/**
 * Takes one person out of a log. Messages, titles and answers keep their place and lose their words; of documents the
 * values lose what the person wrote; what was the person's alone becomes `event.erased`.
 */
export const redaction = (person: PersonInSpace): Redaction => {
  const { userId, turns, documents } = person;
  const traces = new Map<string, DocumentTrace>([...documents].map((key) => [key, documentTrace()]));
  const offsets = new Map<string, number[]>();
  const titled = new Set<string>();
  const titlesGiven = new Set<string>();
  for (const { key, value } of person.lost) traces.get(key)?.lost(value);

  const encode = (event: PublicEvent, mine: boolean, data: Record<string, unknown>): string => {
    const actor = mine ? { kind: event.actor.kind, user: userId, platform: erasedPlatform } : event.actor;
    const { id, type, time } = event;
    return encodeObject({ id, type, time, actor, data: jsonText(encodeObject(data)) });
  };

  /** The data as it stays; 'gone' for an event that is nothing without the person; undefined when nothing changes. */
  const without = (
    { type, data }: PublicEvent,
    mine: boolean,
  ): Record<string, unknown> | 'gone' | undefined => {
    switch (type) {
      case 'message.created':
        return mine ? { ...fieldsOf(data, placeOfMessage), text: '', erased: true } : undefined;
      case 'message.completed':
      case 'turn.started':
      case 'turn.cancelled':
      case 'turn.failed':
        return turns.has(String(data['turnId']))
          ? {
              ...fieldsOf(data, placeOfMessage),
              ...(type === 'turn.started' ? {} : { text: '' }),
              erased: true,
            }
          : undefined;
      case 'conversation.created':
      case 'conversation.forked':
      case 'conversation.renamed': {
        const { title, reason, ...rest } = data;
        const conversation = String(data['conversationId']);
        // The same words elsewhere are whoever wrote them; only a fork carries on what its parent had, maybe a moment ago.
        const carried =
          type === 'conversation.forked' && titlesGiven.has(keyOf(String(data['parent']), String(title)));
        if (!mine && !carried) {
          titled.delete(conversation);
          return undefined;
        }
        if (title !== '') {
          titled.add(conversation);
          titlesGiven.add(keyOf(conversation, String(title)));
        }
        return { ...rest, title: '', ...(mine || reason === undefined ? {} : { reason }) };
      }
      case 'document.changed':
      case 'document.deleted': {
        const trace = traces.get(keyOf(String(data['collection']), String(data['id'])));
        if (!trace) return undefined;
        const { ops: _, by, value, hash: __, ...rest } = data;
        const author = mine || by === undefined ? {} : { by };
        if (type === 'document.deleted') {
          trace.deleted();
          return { ...rest, ...author };
        }
        const left = trace.next({ value: value as Json, mine, restores: data['settled'] === true });
        return { ...rest, value: left, hash: person.hashOf(left), ...author };
      }
      case 'conflict.detected':
        return mine ? 'gone' : undefined;
      case 'conflict.resolved': {
        const parents = data['parents'] as { readonly client?: { readonly user?: string } } | undefined;
        if (parents?.client?.user !== userId) return mine ? { ...data } : undefined;
        const { user, ...client } = parents.client;
        return {
          ...data,
          parents: { ...parents, client: { user, ...fieldsOf(client, ['baseVersion', 'seq']) } },
        };
      }
      case 'member.added':
      case 'member.changed':
      case 'member.removed':
      case 'memory.toggled':
        return mine ? { ...data } : undefined;
      default:
        return mine ? 'gone' : undefined;
    }
  };

  return {
    traces,
    titled,
    offsetsOf: (key) => offsets.get(key) ?? [],
    event: ({ offset, type, json }) => {
      const event = JSON.parse(json) as PublicEvent;
      const mine = event.actor.user === userId;
      const about = keyOf(String(event.data['collection']), String(event.data['id']));
      if (traces.has(about)) {
        const known = offsets.get(about);
        if (known) known.push(offset);
        else offsets.set(about, [offset]);
      }
      const left = without(event, mine);
      if (left === undefined) return undefined;
      if (left === 'gone') return { offset, type: erasedType, json: erasedEvent(event.id, event.time) };
      const now = encode(event, mine, left);
      return now === json ? undefined : { offset, type, json: now };
    },
  };
};

/** The stamps of a document without a person: whose device wrote a field, and fields that are not there any more. */
export const stampsWithout = (userId: string, text: string, value: Json): string => {
  const fields = JSON.parse(text) as Fields;
  const own = `${userId}/`;
  const left = Object.entries(fields).flatMap(([field, { version, hlc, by }]) => {
    // A stamp without a writer stands for several.
    if (by !== undefined && !by.startsWith(own)) return [[field, { version, hlc, by }] as const];
    if (field !== '' && valueAt(value, fieldPath(field)) === undefined) return [];
    const stamp = parseHlc(hlc);
    const nobody = stamp ? encodeHlc({ ...stamp, device: erasedPlatform }) : hlc;
    return [[field, { version, hlc: nobody }] as const];
  });
  return JSON.stringify(Object.fromEntries(left));
};

/** A mutation's result without the values in it: they may be somebody else's. */
export const resultWithoutValue = (text: string): string => {
  const {
    value: _,
    original,
    ...rest
  } = JSON.parse(text) as {
    readonly value?: Json;
    readonly original?: Readonly<Record<string, unknown>>;
  };
  if (original === undefined) return JSON.stringify(rest);
  const { value: __, ...first } = original;
  return JSON.stringify({ ...rest, original: first });
};
