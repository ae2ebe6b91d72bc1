import type { syncV1 } from '@skein/contracts';
import { rawMember } from '../http/raw-json.ts';
import { dropPoints, pointsOf } from '../live/code-points.ts';
import { controlFrame, type EventFrame, type Frame, rawFrame, type Token } from '../live/frame.ts';

/** The classic JSON of a document; `data` goes in byte for byte. */
export const syncDataJson = ({ id, type, dataJson, timestamp, version }: syncV1.SyncData): string =>
  `{"id":${JSON.stringify(id)},"type":${JSON.stringify(type)},"data":${dataJson || 'null'},"timestamp":${timestamp},"version":${version}}`;

/** The type of the document that is the session: it has frames of its own. */
export const sessionType = 'session';

/** A `data_update` frame. */
export const dataUpdate = (data: syncV1.SyncData): Frame =>
  rawFrame(`{"type":"data_update","data":${syncDataJson(data)}}`);

/** What an event is for classic clients. */
interface ClassicView {
  readonly frame: Frame;
  /** The device that did it. */
  readonly device: string;
  /** Not sent to that device: it has it already. */
  readonly notToItself: boolean;
}

interface PublicEvent {
  readonly time: number;
  readonly actor: { readonly device?: string; readonly platform?: string };
  readonly data: Readonly<Record<string, unknown>>;
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

const message = (role: 'user' | 'assistant', { data, actor }: PublicEvent): Frame =>
  controlFrame({
    type: 'message',
    role,
    content: text(data['text']),
    message_id: text(data['messageId']),
    platform: actor.platform ?? '',
  });

const viewFrame = (type: string, event: PublicEvent, json: string): Frame | undefined => {
  const { data, actor, time } = event;
  switch (type) {
    case 'document.changed': {
      if (data['collection'] === sessionType) return undefined;
      const timestamp = typeof data['timestamp'] === 'number' ? data['timestamp'] : time;
      return dataUpdate({
        id: text(data['id']),
        type: text(data['collection']),
        dataJson: rawMember(json, ['data', 'value']),
        timestamp,
        version: Number(data['version']),
      });
    }
    case 'document.deleted':
      return dataUpdate({
        ...{ id: text(data['id']), type: text(data['collection']), dataJson: 'null' },
        ...{ timestamp: time, version: Number(data['version']) },
      });
    case 'persona.changed':
      return controlFrame({
        type: 'persona_change',
        persona: data['persona'],
        platform: actor.platform ?? '',
      });
    case 'memory.toggled':
      return controlFrame({
        type: 'memory_toggle',
        enabled: data['enabled'],
        platform: actor.platform ?? '',
      });
    case 'platform.registered': {
      const device = text(data['device']) || (actor.device ?? '');
      const platform = text(data['platform']) || (actor.platform ?? '');
      return controlFrame({ type: 'platform_register', platform, device_id: device });
    }
    case 'message.created':
      return message('user', event);
    case 'message.completed':
      return message('assistant', event);
    case 'turn.cancelled':
      return text(data['text']) === '' ? undefined : message('assistant', event);
    case 'turn.failed':
      return controlFrame({
        type: 'error',
        error: { code: text(data['error']) || 'turn_failed', message: 'The answer could not be finished' },
      });
    default:
      return undefined;
  }
};

/** Views by event, so that an event is translated once for all sockets; gone with the event. */
const views = new WeakMap<EventFrame, ClassicView | null>();

const viewOf = (event: EventFrame): ClassicView | null => {
  const known = views.get(event);
  if (known !== undefined) return known;
  const json = rawMember(event.payload.toString('utf8'), ['event']);
  const parsed = JSON.parse(json) as PublicEvent;
  const frame = viewFrame(event.type, parsed, json);
  // A settled conflict goes to everybody: the sender does not have the outcome.
  const settled = parsed.data['settled'] === true;
  const notToItself = event.type === 'message.created' || (event.type.startsWith('document.') && !settled);
  const view = frame ? { frame, device: parsed.actor.device ?? '', notToItself } : null;
  views.set(event, view);
  return view;
};

/** The classic frame of an event for one device; undefined when there is none for it. */
export const classicFrame = (event: EventFrame, device: string): Frame | undefined => {
  const view = viewOf(event);
  if (!view || (view.notToItself && view.device === device)) return undefined;
  return view.frame;
};

/** Turns whose tokens one socket is in the middle of. */
const maxTurns = 64;

/**
 * Tokens for clients that only append: what they have already is cut off, and what comes after a hole is left
 * to the final message.
 */
export class ClassicTokens {
  private readonly sent = new Map<string, number>();

  frame({ turnId, messageId, from, text: piece }: Token): Frame | undefined {
    const have = this.sent.get(turnId) ?? 0;
    if (from > have) return undefined;
    const content = dropPoints(piece, have - from);
    if (content === '') return undefined;
    this.sent.set(turnId, have + pointsOf(content));
    if (this.sent.size > maxTurns) {
      const [oldest] = this.sent.keys();
      if (oldest !== undefined) this.sent.delete(oldest);
    }
    return controlFrame({ type: 'token', message_id: messageId, content });
  }
}
