import { z } from 'zod';
import { anyJson, device, deviceName, freeObject, id, slug, spaceId } from '../http/schemas/basics.ts';
import { collectionName, documentId, mutationResult, receivedMutation } from '../http/schemas/document.ts';
import { acceptedMessage, event, newMessage } from '../http/schemas/space.ts';

/**
 * The frames of `/v1/connect`, `/v1/stream` and `/v1/poll`. Types are strict, unknown fields are ignored. The
 * AsyncAPI document is made from these.
 */

const requestId = z
  .union([z.string().max(128), z.int()])
  .describe('Comes back in exactly one `result` or `error`')
  .optional();
const offset = z.int().min(0);
const epoch = z.string().min(1).max(128);
const token = z.string().min(1).max(8_192);

/** A position in a space: nothing but the space asks for a snapshot. */
export const streamRequest = z
  .object({
    space: spaceId,
    epoch: epoch.optional(),
    offset: offset.optional(),
    lastId: z.string().max(128).optional(),
  })
  .meta({ id: 'StreamRequest' });

/** Positions as `hello.streams` and the query parameter `streams` name them. */
export const streamRequests = z.array(streamRequest).max(200);

/** What clients send, by type. */
export const clientFrames = {
  hello: z.object({
    type: z.literal('hello'),
    id: requestId,
    v: z.literal(1),
    token: token.optional(),
    ticket: token.optional(),
    device,
    streams: streamRequests.optional(),
  }),
  auth: z.object({ type: z.literal('auth'), id: requestId, token }),
  mutate: z.object({
    type: z.literal('mutate'),
    id: requestId,
    space: spaceId,
    epoch: epoch.optional().describe('Of the log that the device has seen'),
    mutations: z.array(receivedMutation).min(1).max(100),
  }),
  message: z.object({ type: z.literal('message'), id: requestId, space: spaceId, ...newMessage.shape }),
  cancel: z.object({ type: z.literal('cancel'), id: requestId, turnId: id }),
  persona_change: z.object({
    type: z.literal('persona_change'),
    id: requestId,
    space: spaceId.optional(),
    persona: slug,
  }),
  memory_toggle: z.object({
    type: z.literal('memory_toggle'),
    id: requestId,
    space: spaceId.optional(),
    enabled: z.boolean(),
  }),
  platform_register: z.object({
    type: z.literal('platform_register'),
    id: requestId,
    platform: slug,
    name: deviceName.optional(),
  }),
  subscribe: z.object({ type: z.literal('subscribe'), id: requestId, ...streamRequest.shape }),
  unsubscribe: z.object({ type: z.literal('unsubscribe'), id: requestId, space: spaceId }),
  sync_request: z.object({
    type: z.literal('sync_request'),
    id: requestId,
    space: spaceId,
    versions: z
      .array(
        z.object({
          collection: collectionName,
          id: documentId,
          version: z.int().min(0),
          hash: z.string().max(128),
        }),
      )
      .max(5_000),
  }),
  typing: z.object({ type: z.literal('typing'), space: spaceId, conversationId: id }),
  ack: z.object({ type: z.literal('ack'), space: spaceId, offset, seq: z.int().min(0).optional() }),
  ping: z.object({ type: z.literal('ping'), t: z.number().optional() }),
} as const;

/** A type of client frame. */
export type ClientFrameType = keyof typeof clientFrames;
/** One decoded client frame. */
export type ClientFrame<T extends ClientFrameType> = z.infer<(typeof clientFrames)[T]>;

const position = { space: id, epoch, offset };
const subscription = z.object({ ...position, recovered: z.boolean(), lastSeq: z.int() });
const frame = <T extends string, S extends z.ZodRawShape>(type: T, shape: S) =>
  z.object({ type: z.literal(type), ...shape });

/** What we send, by type. */
export const serverFrames = {
  welcome: frame('welcome', {
    connection: id,
    user: id,
    device: id,
    streams: z.array(z.union([subscription, z.object({ space: id, error: z.string() })])),
    authExpiresAt: z.int().describe('Epoch milliseconds; send `auth` before'),
    pingMs: z.int(),
    maxFrame: z.int(),
    maxInflight: z.int().describe('Requests that may wait for their answer'),
    answerMs: z.int().describe('Every request is answered by then, counted from its arrival'),
    serverTime: z.int(),
    reconnect: z.object({ ticket: z.string() }).optional().describe('Only in SSE'),
  }),
  event: frame('event', { ...position, event }),
  token: frame('token', {
    space: id,
    conversationId: id,
    turnId: id,
    messageId: id,
    from: z.int().describe('Unicode code points before `text`'),
    text: z.string(),
  }),
  snapshot: frame('snapshot', {
    ...position,
    part: z.int().min(1),
    parts: z.int().min(1),
    documents: z.array(freeObject),
    conversations: z.array(freeObject),
    stateHash: z.string().optional(),
  }),
  check: frame('check', { ...position, stateHash: z.string() }),
  sync_response: frame('sync_response', {
    space: id,
    offset,
    more: z.literal(true).optional(),
    documents: z.array(
      z.object({
        collection: z.string(),
        id: z.string(),
        version: z.int(),
        value: anyJson,
        hash: z.string(),
      }),
    ),
    gone: z.array(z.object({ collection: z.string(), id: z.string(), version: z.int() })),
  }),
  subscribed: frame('subscribed', subscription.shape),
  unsubscribed: frame('unsubscribed', { space: id, reason: z.string() }),
  presence: frame('presence', {
    space: id,
    devices: z.array(z.object({ user: id, device, since: z.int() })),
  }),
  typing: frame('typing', { space: id, conversationId: id, user: id, device: id }),
  status: frame('status', {
    kind: z.string(),
    id: z.string(),
    state: z.string(),
    progress: z.number().optional(),
    data: anyJson.optional(),
  }),
  result: z.looseObject({
    type: z.literal('result'),
    id: requestId,
    results: z.array(mutationResult).optional(),
    lastSeq: z.int().optional(),
    state: z.string().optional(),
    ...acceptedMessage.partial().shape,
  }),
  error: z.looseObject({
    type: z.literal('error'),
    id: requestId,
    code: z.string(),
    message: z.string(),
    retryable: z.boolean(),
    retryAfterMs: z.int().optional(),
    expectedSeq: z.int().optional(),
  }),
  pong: frame('pong', { t: z.number().optional(), serverTime: z.int() }),
} as const;
