import { encodeObject } from './json-text.ts';

/** Every type of event in a space's log. */
export type EventType =
  | 'message.created'
  | 'message.completed'
  | 'turn.started'
  | 'turn.cancelled'
  | 'turn.failed'
  | 'conversation.created'
  | 'conversation.forked'
  | 'conversation.renamed'
  | 'document.changed'
  | 'document.deleted'
  | 'conflict.detected'
  | 'conflict.resolved'
  | 'persona.changed'
  | 'memory.toggled'
  | 'platform.registered'
  | 'member.invited'
  | 'member.added'
  | 'member.changed'
  | 'member.removed';

/** Who did it, from where; a part of every event. */
export interface Actor {
  readonly kind: 'user' | 'agent' | 'system';
  readonly user?: string | undefined;
  readonly device?: string | undefined;
  readonly platform: string;
}

/** What a decision wants written into the log; id, time and offset are given when it is written. */
export interface NewEvent {
  readonly type: EventType;
  readonly actor: Actor;
  /** Fields of the public `data`; a `JsonText` among them is kept byte for byte. */
  readonly data: Readonly<Record<string, unknown>>;
}

/** An event in the log. `json` is the public Event, encoded once and never again. */
export interface LoggedEvent {
  readonly offset: number;
  readonly id: string;
  readonly type: string;
  readonly json: string;
}

/** The public Event `{id, type, time, actor, data}` as text; `time` in epoch milliseconds. */
export const encodeEvent = (event: NewEvent, id: string, timeMs: number): string =>
  `{"id":${JSON.stringify(id)},"type":"${event.type}","time":${timeMs},"actor":${JSON.stringify(event.actor)},"data":${encodeObject(event.data)}}`;
