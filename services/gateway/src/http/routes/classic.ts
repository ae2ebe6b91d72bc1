import { createHash } from 'node:crypto';
import { AppError, type syncV1 } from '@skein/contracts';
import { type CallContext, deriveContext } from '@skein/rpc';
import { type Clock, must } from '@skein/service-kit';
import { z } from 'zod';
import { authorize } from '../../auth/bearer.ts';
import type { Clients, LiveSide, Principal } from '../../ports.ts';
import { type AnswerStep, followAnswer, withPatience } from '../classic-answer.ts';
import { restDeviceId, restOrigin } from '../origin.ts';
import { rawMember } from '../raw-json.ts';
import { type Call, type Route, route } from '../route.ts';
import { id } from '../schemas/basics.ts';
import {
  classicSession,
  syncEvent,
  syncEventAnswer,
  unifiedAnswer,
  unifiedMessage,
} from '../schemas/classic.ts';
import type { SeenDocuments } from '../seen-documents.ts';

/** What the classic routes need beside the services. */
export interface ClassicDeps {
  readonly clients: Clients;
  readonly live: Pick<LiveSide, 'watchTurn'>;
  readonly seen: SeenDocuments;
  readonly clock: Clock;
  readonly newId: () => string;
  readonly callTimeoutMs: number;
  readonly answerTimeoutMs: number;
}

const personal = 'personal';
const historyLength = 50;

/** Nobody speaks for somebody else here; channels that act for linked people come with their own capability. */
const ownUser = (principal: Principal | undefined, userId: string): Principal => {
  const caller = must(principal, 'signed in');
  if (caller.userId !== userId) throw new AppError('forbidden', 'user_id is not yours');
  return caller;
};

/** The same call, made from the platform its body names. */
const from = (ctx: CallContext, platform: string): CallContext =>
  deriveContext(ctx, { actor: { ...must(ctx.actor, 'signed in'), platform } });

/** The same message again when the client names it by the key of its request alone. */
const messageIdOf = (idempotencyKey: string): string | undefined =>
  idempotencyKey === ''
    ? undefined
    : `key-${createHash('sha256').update(idempotencyKey).digest('base64url')}`;

type Unified = z.infer<typeof unifiedMessage>;

/** Appends the message and follows its answer: every route of a retry ends at the same answer. */
const ask = async (deps: ClassicDeps, call: Call<unknown, unknown, Unified>) => {
  const { clients, live, clock, newId, callTimeoutMs, answerTimeoutMs } = deps;
  const { body } = call;
  const short = from(deriveContext(call.ctx, { timeoutMs: callTimeoutMs }), body.platform);
  const { space } = await clients.sync.getSpace({ space: personal }, short);
  const spaceId = must(space, 'session-sync answers with a space').id;
  const receipt = await clients.sync.appendMessage(
    {
      space: spaceId,
      conversationId: '',
      clientMessageId: body.message_id ?? messageIdOf(call.idempotencyKey) ?? newId(),
      text: body.content,
      persona: body.persona ?? '',
      attachmentsJson: '',
      reply: true,
      origin: restOrigin({ platform: body.platform }),
    },
    short,
  );
  const { turnId } = receipt;
  const patience = withPatience(call.ctx, answerTimeoutMs, { turnId, messageId: receipt.answerMessageId });
  const answerOf = (messageId: string, content: string): z.infer<typeof unifiedAnswer> => ({
    message_id: messageId,
    user_id: body.user_id,
    platform: body.platform,
    persona: receipt.persona,
    content,
    conversation_id: receipt.conversationId,
    timestamp: clock.now(),
  });
  const follow = async function* (): AsyncGenerator<AnswerStep> {
    try {
      yield* followAnswer(live, clients.agent, { space: spaceId, turnId }, patience.ctx, callTimeoutMs);
    } finally {
      patience.done();
    }
  };
  return { receipt, steps: follow(), answerOf };
};

/** The answer as events: `token {message_id, from, content}`, then `message` with what the plain call answers. */
async function* asEvents({ receipt, steps, answerOf }: Awaited<ReturnType<typeof ask>>) {
  for await (const step of steps) {
    if (step.kind === 'token') {
      const data = { message_id: receipt.answerMessageId, from: step.from, content: step.text };
      yield { event: 'token', data };
    } else {
      yield { event: 'message', data: answerOf(step.messageId, step.text) };
    }
  }
}

const readSession = async (sync: Clients['sync'], userId: string, ctx: CallContext) => {
  const [session, devices, history] = await Promise.all([
    sync.changeSession({ space: personal, origin: restOrigin() }, ctx),
    sync.listDevices({}, ctx),
    sync.listMessages({ space: personal, conversationId: '', limit: historyLength, cursor: '' }, ctx),
  ]);
  const places = devices.items.map(({ device, connected, lastSeenMs }) => {
    const { id: deviceId, platform } = must(device, 'a device state names its device');
    return { id: deviceId, platform, connected, last_seen: lastSeenMs };
  });
  const active = places.filter(({ connected }) => connected).map(({ platform }) => platform);
  return {
    user_id: userId,
    current_persona: session.persona,
    memory_enabled: session.memoryEnabled,
    active_platforms: [...new Set(active)],
    devices: places,
    conversation_history: history.items.map((one) => ({
      role: one.role as 'user' | 'assistant',
      content: one.text,
      platform: one.platform,
      timestamp: one.timeMs,
    })),
    last_active: Math.max(
      0,
      ...places.map((place) => place.last_seen),
      ...history.items.map((one) => one.timeMs),
    ),
  };
};

type SyncEvent = z.infer<typeof syncEvent>;
type SyncEventAnswer = z.infer<typeof syncEventAnswer>;

const applyData = async (
  sync: Clients['sync'],
  seen: SeenDocuments,
  call: Call<unknown, unknown, SyncEvent>,
  origin: syncV1.Origin,
  data: Extract<SyncEvent, { event_type: 'data_update' }>['data'],
): Promise<SyncEventAnswer> => {
  authorize('documents:write', call.principal);
  const principal = must(call.principal, 'signed in');
  const deviceId = origin.device?.id ?? '';
  const { id: documentId, type, timestamp, version } = data;
  const applied = await sync.applyClassic(
    {
      origin,
      data: {
        id: documentId,
        type,
        dataJson: rawMember(call.rawBody, ['data', 'data']),
        timestamp: Math.trunc(timestamp),
        version,
      },
      seenOffset: seen.offset(principal.userId, deviceId, documentId),
    },
    call.ctx,
  );
  if (applied.outcome === 'applied') seen.saw(principal.userId, deviceId, documentId, applied.offset);
  return {
    ok: true,
    offset: applied.offset,
    delivered_to: applied.deliveredTo,
    outcome: applied.outcome,
    ...(applied.conflictId === '' ? {} : { conflict_id: applied.conflictId }),
  };
};

const applyEvent = async (
  sync: Clients['sync'],
  seen: SeenDocuments,
  call: Call<unknown, unknown, SyncEvent>,
): Promise<SyncEventAnswer> => {
  const { body, ctx } = call;
  const principal = ownUser(call.principal, body.user_id);
  const origin = restOrigin({ id: body.device_id ?? restDeviceId(principal), platform: body.platform });
  if (body.event_type === 'data_update') return applyData(sync, seen, call, origin, body.data);
  if (body.event_type === 'platform_register') {
    const device = {
      id: body.data?.device_id ?? body.device_id,
      platform: body.data?.platform ?? body.platform,
    };
    const registered = restOrigin({ ...device, id: device.id ?? restDeviceId(principal) });
    const { offset, deliveredTo } = await sync.registerPlatform({ origin: registered }, ctx);
    return { ok: true, offset, delivered_to: deliveredTo };
  }
  const change =
    body.event_type === 'persona_change'
      ? { persona: body.data.persona }
      : { memoryEnabled: body.data.enabled };
  const { offset, deliveredTo } = await sync.changeSession({ space: personal, ...change, origin }, ctx);
  return { ok: true, offset, delivered_to: deliveredTo };
};

const tag = 'classic';

/** The shapes of existing clients, on the same engine. */
export const classicRoutes = (deps: ClassicDeps): Route[] => [
  route({
    method: 'post',
    path: '/message/unified',
    repeat: 'key',
    tag,
    summary: 'Says something and waits for the whole answer; `Accept: text/event-stream` streams it',
    access: 'messages:write',
    body: unifiedMessage,
    bodySize: 'large',
    status: 200,
    response: unifiedAnswer,
    waits: true,
    limit: (limits, { principal }) => limits.message(must(principal, 'signed in').userId),
    handle: async (call) => {
      ownUser(call.principal, call.body.user_id);
      const asked = await ask(deps, call);
      if (call.wantsEventStream) return { events: asEvents(asked) };
      for await (const step of asked.steps) {
        if (step.kind === 'done') return asked.answerOf(step.messageId, step.text);
      }
      throw new Error('bug: an answer is done or throws');
    },
  }),
  route({
    method: 'get',
    path: '/user/{id}/session',
    tag,
    summary: 'Persona, memory, devices and the last 50 messages',
    access: 'session',
    params: z.object({ id }),
    status: 200,
    response: classicSession,
    handle: async ({ params, principal, ctx }) =>
      readSession(deps.clients.sync, ownUser(principal, params.id).userId, ctx),
  }),
  route({
    method: 'post',
    path: '/sync/event',
    repeat: 'key',
    tag,
    summary: 'Changes persona, memory, platform or a document, seen by all devices',
    access: 'session',
    body: syncEvent,
    bodySize: 'large',
    status: 200,
    response: syncEventAnswer,
    limit: (limits, { principal }) => limits.message(must(principal, 'signed in').userId),
    handle: async (call) => applyEvent(deps.clients.sync, deps.seen, call),
  }),
];
