import { z } from 'zod';
import { anyJson, device, id, queryInteger, slug, time } from './basics.ts';

/** A space as the asking person sees it. */
export const space = z
  .object({
    id,
    kind: z.enum(['personal', 'team']),
    title: z.string(),
    role: z.enum(['owner', 'editor', 'viewer']),
    epoch: z.string(),
    head: z.int(),
  })
  .meta({ id: 'Space' });

/** POST /v1/spaces */
export const newSpace = z.object({ title: z.string().trim().min(1).max(200) });

/** Somebody in a space. */
export const member = z
  .object({ userId: id, role: z.enum(['owner', 'editor', 'viewer']) })
  .meta({ id: 'Member' });

/** PUT /v1/spaces/{space}/members/{user} */
export const memberRole = member.pick({ role: true });

/** Its answer. */
export const memberPut = member.extend({
  invited: z.boolean().optional().describe('true: the person was not in the space, and has to accept'),
});

/** One committed event with its place in the log. */
export const event = z
  .looseObject({
    offset: z.int(),
    id: z.string(),
    type: z.string(),
    time: z.int().describe('Epoch milliseconds'),
    actor: z.looseObject({
      kind: z.enum(['user', 'agent', 'system']),
      user: z.string().optional(),
      device: z.string().optional(),
      platform: z.string().optional(),
    }),
    data: z.looseObject({}),
  })
  .meta({ id: 'Event' });

/** GET /v1/spaces/{space}/events */
export const eventsQuery = z.object({
  after: queryInteger(0, Number.MAX_SAFE_INTEGER).optional().describe('Exclusive; 0 unless said'),
  epoch: z.string().max(128).optional(),
  limit: queryInteger(1, 1_000).optional().describe('At most this many; 200 unless said'),
});

/** A page of the log. */
export const events = z
  .object({
    epoch: z.string(),
    head: z.int(),
    floor: z.int().describe('The lowest offset that is still served'),
    events: z.array(event),
    next: z.int().optional().describe('`after` of the next page; absent at the head'),
  })
  .meta({ id: 'Events' });

/** A conversation. */
export const conversation = z
  .object({
    id,
    title: z.string(),
    createdAt: time,
    updatedAt: time,
    head: z.string().optional().describe('Id of the newest message'),
    count: z.int().describe('Of a fork with those from before it'),
    parent: z.string().optional().describe('Of a fork: the conversation it grew from'),
    forkedAt: z.string().optional().describe('Of a fork: the last message both have'),
  })
  .meta({ id: 'Conversation' });

/** Why something is done; kept in the log. */
const reason = z.string().trim().max(500).optional().describe('Kept with the event');
const title = z.string().trim().min(1).max(200);

/** POST …/conversations/{conversation}/fork */
export const newFork = z.object({
  messageId: id,
  title: title.optional(),
  reason,
  device: device.optional(),
});

/** PATCH …/conversations/{conversation} */
export const rename = z.object({ title, reason, device: device.optional() });

/** GET /v1/spaces/{space}/state */
export const stateQuery = z.object({
  at: z.string().min(1).max(40).optional().describe('An offset, or a time (RFC 3339); now unless said'),
});

/** What a space held at one offset. */
export const spaceState = z
  .object({
    epoch: z.string(),
    offset: z.int(),
    documents: z.array(
      z.object({
        ...{ collection: z.string(), id: z.string(), version: z.int(), value: anyJson, hash: z.string() },
      }),
    ),
    conversations: z.array(
      z.object({ id: z.string(), title: z.string(), head: z.string().optional(), count: z.int() }),
    ),
    stateHash: z.string(),
  })
  .meta({ id: 'SpaceState' });

/** POST /v1/spaces/{space}/conversations */
export const newConversation = z.object({ title: z.string().trim().max(200).optional() }).optional();

/** A message of a conversation. */
export const message = z
  .object({
    id,
    conversationId: id,
    role: z.enum(['user', 'assistant']),
    text: z.string(),
    time,
    userId: z.string().optional(),
    platform: z.string().optional(),
    persona: z.string().optional(),
    turnId: z.string().optional(),
    clientMessageId: z.string().optional(),
    state: z.enum(['complete', 'cancelled', 'failed']),
    offset: z.int(),
    meta: z
      .record(z.string(), z.unknown())
      .optional()
      .describe('Facts of an answer: model, offline, sources'),
  })
  .meta({ id: 'Message' });

/** Longest text of a message in bytes of UTF-8. */
export const maxTextBytes = 65_536;

/** The text of a message: not empty, at most 64 KB. */
export const messageText = z
  .string()
  .min(1)
  .refine((text) => Buffer.byteLength(text) <= maxTextBytes, `must be at most ${maxTextBytes} bytes`);

/** POST /v1/spaces/{space}/messages */
export const newMessage = z.object({
  conversationId: id.optional(),
  clientMessageId: id,
  text: messageText,
  persona: slug.optional(),
  attachments: z.array(anyJson).max(20).optional(),
  reply: z.boolean().optional().describe('Whether an answer is wanted; true unless said'),
});

/** The receipt of a message. */
export const acceptedMessage = z
  .object({
    messageId: id,
    conversationId: id,
    turnId: z.string().optional(),
    offset: z.int(),
    duplicate: z.boolean().optional(),
  })
  .meta({ id: 'AcceptedMessage' });

/** A turn: one answer being made. */
export const turn = z
  .object({
    id,
    state: z.enum(['queued', 'streaming', 'done', 'cancelled', 'failed']),
    text: z.string(),
    messageId: z.string(),
    conversationId: z.string(),
  })
  .meta({ id: 'Turn' });

/** A persona to choose from. */
export const persona = z
  .object({ id: z.string(), name: z.string(), description: z.string() })
  .meta({ id: 'Persona' });
