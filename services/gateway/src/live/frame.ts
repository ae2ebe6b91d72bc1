/**
 * A server frame, encoded once and shared by every connection that gets it. `wire` is the whole WebSocket
 * frame (RFC 6455 §5.2: final text frame, not masked, since servers never mask), `payload` a view of its JSON.
 */
export interface Frame {
  /** `event` moves a position; `ephemeral` may be coalesced or dropped; `control` is for one connection. */
  readonly kind: 'event' | 'control' | 'ephemeral';
  readonly wire: Buffer;
  readonly payload: Buffer;
}

/** A committed event of a space as a frame. */
export interface EventFrame extends Frame {
  readonly kind: 'event';
  readonly offset: number;
  /** The event's id and type, as in its JSON. */
  readonly id: string;
  readonly type: string;
}

/** A frame of which only the newest with the same key matters. */
export interface EphemeralFrame extends Frame {
  readonly kind: 'ephemeral';
  readonly key: string;
  /** Set on `token` frames. */
  readonly token?: Token;
}

/** A piece of an answer being made; `from` counts the Unicode code points before `text`. */
export interface Token {
  readonly turnId: string;
  readonly messageId: string;
  readonly conversationId: string;
  readonly from: number;
  readonly text: string;
}

const finalText = 0x81;

/** JSON text as a WebSocket frame. */
const encode = (json: string): { wire: Buffer; payload: Buffer } => {
  const length = Buffer.byteLength(json);
  const header = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const wire = Buffer.allocUnsafe(header + length);
  wire[0] = finalText;
  if (header === 2) wire[1] = length;
  else if (header === 4) {
    wire[1] = 126;
    wire.writeUInt16BE(length, 2);
  } else {
    wire[1] = 127;
    wire.writeBigUInt64BE(BigInt(length), 2);
  }
  wire.write(json, header, 'utf8');
  return { wire, payload: wire.subarray(header) };
};

/** The beginning of every `event` frame of one space and epoch, so that it is written once. */
export const eventPrefix = (space: string, epoch: string): string =>
  `{"type":"event","space":${JSON.stringify(space)},"epoch":${JSON.stringify(epoch)},"offset":`;

/** An `event` frame around the event's JSON, which is passed on as it is. */
export const eventFrame = (
  prefix: string,
  event: { readonly offset: number; readonly id: string; readonly type: string; readonly json: string },
): EventFrame => {
  const { wire, payload } = encode(`${prefix}${event.offset},"event":${event.json}}`);
  return { kind: 'event', wire, payload, offset: event.offset, id: event.id, type: event.type };
};

/** Any frame for one connection. */
export const controlFrame = (body: { readonly type: string } & Readonly<Record<string, unknown>>): Frame =>
  rawFrame(JSON.stringify(body));

/** A frame for one connection whose JSON is at hand. */
export const rawFrame = (json: string): Frame => ({ kind: 'control', ...encode(json) });

/** A frame of which the newest with the same key replaces those before. */
export const ephemeralFrame = (key: string, json: string): EphemeralFrame => ({
  kind: 'ephemeral',
  key,
  ...encode(json),
});

/** Key of `check` frames. */
export const checkKey = 'check';

/** A `token` frame. */
export const tokenFrame = (space: string, token: Token): EphemeralFrame => ({
  ...ephemeralFrame(
    `token:${token.turnId}`,
    JSON.stringify({
      type: 'token',
      space,
      conversationId: token.conversationId,
      turnId: token.turnId,
      messageId: token.messageId,
      from: token.from,
      text: token.text,
    }),
  ),
  token,
});

/** Shares a space's frames of one tick between all who follow it. */
export interface Batch {
  readonly space: string;
  readonly frames: readonly (EventFrame | EphemeralFrame)[];
  /** All frames, one after the other, ready for a WebSocket. */
  readonly wire: Buffer;
  /** First and last offset of its events; 0 when it has none. */
  readonly first: number;
  readonly last: number;
  /** Id of the last event; empty when there is none. */
  readonly lastId: string;
}

/** Frames of one space as a batch. */
export const batchOf = (space: string, frames: readonly (EventFrame | EphemeralFrame)[]): Batch => {
  let first = 0;
  let last = 0;
  let lastId = '';
  for (const frame of frames) {
    if (frame.kind !== 'event') continue;
    if (first === 0) first = frame.offset;
    last = frame.offset;
    lastId = frame.id;
  }
  const only = frames.length === 1 ? frames[0] : undefined;
  const wire = only ? only.wire : Buffer.concat(frames.map((frame) => frame.wire));
  return { space, frames, wire, first, last, lastId };
};

/** Replayed frames per write. */
const maxBatchBytes = 64 * 1024;

/** Frames in pieces of about `maxBatchBytes`. */
export function* chunksOf(frames: readonly EventFrame[]): Iterable<readonly EventFrame[]> {
  let chunk: EventFrame[] = [];
  let bytes = 0;
  for (const frame of frames) {
    chunk.push(frame);
    bytes += frame.wire.length;
    if (bytes < maxBatchBytes) continue;
    yield chunk;
    chunk = [];
    bytes = 0;
  }
  if (chunk.length > 0) yield chunk;
}
