import { z } from 'zod';
import { freeObject, id, slug } from './basics.ts';
import { documentId } from './document.ts';
import { messageText } from './space.ts';

/** POST /message/unified */
export const unifiedMessage = z
  .object({
    user_id: id,
    platform: slug,
    content: messageText,
    persona: slug.optional(),
    message_id: id.optional().describe('The same id again gets the same answer'),
    metadata: freeObject.optional(),
  })
  .meta({ id: 'ClassicMessage' });

/** Its answer. */
export const unifiedAnswer = z
  .object({
    message_id: z.string(),
    user_id: z.string(),
    platform: z.string(),
    persona: z.string(),
    content: z.string(),
    conversation_id: z.string(),
    timestamp: z.int().describe('Epoch milliseconds'),
  })
  .meta({ id: 'ClassicAnswer' });

/** GET /user/{id}/session */
export const classicSession = z
  .object({
    user_id: z.string(),
    current_persona: z.string(),
    memory_enabled: z.boolean(),
    active_platforms: z.array(z.string()),
    devices: z.array(
      z.object({ id: z.string(), platform: z.string(), connected: z.boolean(), last_seen: z.int() }),
    ),
    conversation_history: z
      .array(
        z.object({
          role: z.enum(['user', 'assistant']),
          content: z.string(),
          platform: z.string(),
          timestamp: z.int(),
        }),
      )
      .max(50),
    last_active: z.int().describe('Epoch milliseconds'),
  })
  .meta({ id: 'ClassicSession' });

/** A classic document. `data` is kept byte for byte. */
export const syncData = z
  .object({
    id: documentId,
    type: z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/),
    data: z.unknown(),
    timestamp: z.number().min(-Number.MAX_SAFE_INTEGER).max(Number.MAX_SAFE_INTEGER),
    version: z.int().min(0),
  })
  .meta({ id: 'SyncData' });

const from = { user_id: id, platform: slug, device_id: id.optional() };

/** POST /sync/event */
export const syncEvent = z
  .discriminatedUnion('event_type', [
    z.object({ ...from, event_type: z.literal('persona_change'), data: z.object({ persona: slug }) }),
    z.object({
      ...from,
      event_type: z.literal('memory_toggle'),
      data: z.union([
        z.object({ enabled: z.boolean() }),
        z
          .object({ memory_enabled: z.boolean() })
          .transform(({ memory_enabled }) => ({ enabled: memory_enabled })),
      ]),
    }),
    z.object({
      ...from,
      event_type: z.literal('platform_register'),
      data: z.object({ platform: slug.optional(), device_id: id.optional() }).optional(),
    }),
    z.object({ ...from, event_type: z.literal('data_update'), data: syncData }),
  ])
  .meta({ id: 'ClassicSyncEvent' });

/** Its answer. */
export const syncEventAnswer = z
  .object({
    ok: z.literal(true),
    offset: z.int(),
    delivered_to: z.int().describe('Other devices connected at commit'),
    outcome: z.string().optional().describe('Of a data_update: unchanged, applied, settled or conflict'),
    conflict_id: z.string().optional(),
  })
  .meta({ id: 'ClassicSyncEventAnswer' });
