import type {
  ConversationHead,
  Document,
  ErrorFrame,
  Fields,
  PresentDevice,
  ServerFrame,
  StreamStart,
  SyncEvent,
} from './frames.ts';

/**
 * Reads one frame. `undefined` for anything that is not a frame we know or lacks what we need of it: the
 * contract says unknown frames and fields are ignored, and a broken one must not take the page down.
 */
export function decodeFrame(text: string): ServerFrame | undefined {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return undefined; // Not JSON: nothing in it can be acted on.
  }
  const f = fields(raw);
  switch (f['type']) {
    case 'welcome':
      return {
        type: 'welcome',
        connection: str(f['connection']),
        user: str(f['user']) || str(fields(f['user'])['id']),
        device: str(f['device']) || str(fields(f['device'])['id']),
        streams: list(f['streams']).map(streamStart),
        authExpiresAtMs: timeMs(f['authExpiresAt']),
        pingMs: num(f['pingMs']),
        serverTimeMs: timeMs(f['serverTime']),
      };
    case 'event': {
      const event = readEvent(f['event']);
      if (event === undefined || !isStr(f['space'])) return undefined;
      return { type: 'event', space: f['space'], epoch: str(f['epoch']), offset: num(f['offset']), event };
    }
    case 'token':
      if (!isStr(f['space']) || !isStr(f['turnId']) || !isStr(f['messageId']) || !isStr(f['text']))
        return undefined;
      return {
        type: 'token',
        space: f['space'],
        conversationId: str(f['conversationId']),
        turnId: f['turnId'],
        messageId: f['messageId'],
        from: num(f['from']),
        text: f['text'],
      };
    case 'snapshot':
      if (!isStr(f['space'])) return undefined;
      return {
        type: 'snapshot',
        space: f['space'],
        epoch: str(f['epoch']),
        offset: num(f['offset']),
        part: num(f['part']),
        parts: num(f['parts']),
        documents: list(f['documents']).map(readDocument),
        conversations: list(f['conversations']).map(conversationHead),
      };
    case 'check':
      return {
        type: 'check',
        space: str(f['space']),
        epoch: str(f['epoch']),
        offset: num(f['offset']),
        stateHash: str(f['stateHash']),
      };
    case 'sync_response':
      return {
        type: 'sync_response',
        space: str(f['space']),
        offset: num(f['offset']),
        documents: list(f['documents']).map(readDocument),
        gone: list(f['gone']).map((g) => ({
          collection: str(fields(g)['collection']),
          id: str(fields(g)['id']),
        })),
      };
    case 'subscribed':
      return { type: 'subscribed', stream: streamStart(f) };
    case 'unsubscribed':
      return { type: 'unsubscribed', space: str(f['space']), reason: str(f['reason']) };
    case 'presence':
      return { type: 'presence', space: str(f['space']), devices: list(f['devices']).map(presentDevice) };
    case 'typing':
      return {
        type: 'typing',
        space: str(f['space']),
        conversationId: str(f['conversationId']),
        user: str(f['user']),
        device: str(f['device']),
      };
    case 'status':
      return {
        type: 'status',
        kind: str(f['kind']),
        id: str(f['id']),
        state: str(f['state']),
        label: str(fields(f['data'])['label']),
      };
    case 'result':
      return isStr(f['id']) ? { type: 'result', id: f['id'], fields: f } : undefined;
    case 'error':
      return readError(f);
    case 'pong':
      return { type: 'pong' };
    default:
      return undefined;
  }
}

/** An event as the log and REST give it, or `undefined` when it has no id or type. */
export function readEvent(raw: unknown): SyncEvent | undefined {
  const f = fields(raw);
  if (!isStr(f['id']) || !isStr(f['type'])) return undefined;
  const actor = fields(f['actor']);
  return {
    id: f['id'],
    type: f['type'],
    timeMs: timeMs(f['time']),
    actor: {
      kind: str(actor['kind']),
      platform: str(actor['platform']),
      ...(isStr(actor['device']) ? { device: actor['device'] } : {}),
    },
    data: fields(f['data']),
  };
}

/** A document of a snapshot, a change or a sync response. */
export function readDocument(raw: unknown): Document {
  const f = fields(raw);
  return {
    collection: str(f['collection']),
    id: str(f['id']),
    version: num(f['version']),
    hash: str(f['hash']),
    value: f['value'],
  };
}

/** The fields of an object; none for anything else. */
export function fields(raw: unknown): Fields {
  return typeof raw === 'object' && raw !== null && !Array.isArray(raw) ? (raw as Fields) : {};
}

/** A text, or the empty text for anything else. */
export function str(raw: unknown): string {
  return typeof raw === 'string' ? raw : '';
}

/** A finite number, or 0 for anything else. */
export function num(raw: unknown): number {
  return typeof raw === 'number' && Number.isFinite(raw) ? raw : 0;
}

/** Epoch milliseconds from a number or an RFC 3339 text; 0 when it is neither. */
export function timeMs(raw: unknown): number {
  if (typeof raw === 'number') return num(raw);
  const parsed = Date.parse(str(raw));
  return Number.isNaN(parsed) ? 0 : parsed;
}

/** The items of an array; none for anything else. */
export function list(raw: unknown): readonly unknown[] {
  return Array.isArray(raw) ? raw : [];
}

function isStr(raw: unknown): raw is string {
  return typeof raw === 'string';
}

function streamStart(raw: unknown): StreamStart {
  const f = fields(raw);
  const refused = str(f['error']) || str(fields(f['error'])['code']);
  return {
    space: str(f['space']),
    epoch: str(f['epoch']),
    offset: num(f['offset']),
    recovered: f['recovered'] === true,
    ...(typeof f['lastSeq'] === 'number' ? { lastSeq: f['lastSeq'] } : {}),
    ...(refused === '' ? {} : { error: refused }),
  };
}

function conversationHead(raw: unknown): ConversationHead {
  const f = fields(raw);
  return { id: str(f['id']), title: str(f['title']), head: str(f['head']), count: num(f['count']) };
}

function presentDevice(raw: unknown): PresentDevice {
  const f = fields(raw);
  const inner = fields(f['device']);
  return {
    user: str(f['user']),
    device: str(f['device']) || str(inner['id']),
    platform: str(f['platform']) || str(inner['platform']),
    name: str(f['name']) || str(inner['name']),
    connected: f['connected'] !== false,
    lastSeenMs: timeMs(f['lastSeen']),
  };
}

function readError(f: Fields): ErrorFrame {
  return {
    type: 'error',
    ...(isStr(f['id']) ? { id: f['id'] } : {}),
    code: str(f['code']) || 'internal',
    message: str(f['message']),
    retryable: f['retryable'] === true,
    ...(typeof f['retryAfterMs'] === 'number' ? { retryAfterMs: f['retryAfterMs'] } : {}),
    ...(typeof f['expectedSeq'] === 'number' ? { expectedSeq: f['expectedSeq'] } : {}),
  };
}
