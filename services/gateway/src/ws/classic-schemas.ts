import { z } from 'zod';
import { id, slug } from '../http/schemas/basics.ts';
import { syncData } from '../http/schemas/classic.ts';
import { documentId } from '../http/schemas/document.ts';
import { messageText } from '../http/schemas/space.ts';

/** The frames of `/ws/{user_id}`, by type. Unknown fields are ignored. */
export const classicClientFrames = {
  auth: z.object({ type: z.literal('auth'), token: z.string().min(1).max(8_192) }),
  ping: z.object({ type: z.literal('ping') }),
  platform_register: z.object({
    type: z.literal('platform_register'),
    platform: slug,
    device_id: id.optional(),
  }),
  persona_change: z.object({ type: z.literal('persona_change'), persona: slug }),
  memory_toggle: z.object({ type: z.literal('memory_toggle'), enabled: z.boolean() }),
  data_update: z.object({ type: z.literal('data_update'), data: syncData }),
  sync_request: z.object({
    type: z.literal('sync_request'),
    versions: z.array(z.object({ id: documentId, version: z.int().min(0) })).max(5_000),
  }),
  message: z.object({ type: z.literal('message'), content: messageText, persona: slug.optional() }),
} as const;

/** A type of classic client frame. */
export type ClassicFrameType = keyof typeof classicClientFrames;
/** One decoded classic client frame. */
export type ClassicFrame<T extends ClassicFrameType> = z.infer<(typeof classicClientFrames)[T]>;

/** What classic clients are sent, by type. */
export const classicServerFrames = {
  pong: z.object({ type: z.literal('pong') }),
  data_update: z.object({ type: z.literal('data_update'), data: syncData }),
  sync_response: z.object({
    type: z.literal('sync_response'),
    data: z.array(syncData),
    more: z.literal(true).optional(),
  }),
  conflict: z.object({
    type: z.literal('conflict'),
    data: z.object({ clientData: syncData, serverData: syncData, conflictId: z.string() }),
  }),
  persona_change: z.object({ type: z.literal('persona_change'), persona: z.string(), platform: z.string() }),
  memory_toggle: z.object({ type: z.literal('memory_toggle'), enabled: z.boolean(), platform: z.string() }),
  platform_register: z.object({
    type: z.literal('platform_register'),
    platform: z.string(),
    device_id: z.string(),
  }),
  message: z.object({
    type: z.literal('message'),
    role: z.enum(['user', 'assistant']),
    content: z.string(),
    message_id: z.string(),
    platform: z.string(),
  }),
  token: z.object({ type: z.literal('token'), message_id: z.string(), content: z.string() }),
  error: z.object({ type: z.literal('error'), error: z.object({ code: z.string(), message: z.string() }) }),
} as const;
