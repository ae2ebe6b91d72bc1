import type { agentV1, syncV1 } from '@skein/contracts';
import { must } from '@skein/service-kit';
import { z } from 'zod';
import type { Clients } from '../../ports.ts';
import { restOrigin } from '../origin.ts';
import { type Route, route } from '../route.ts';
import { id, listAnswer, listOf, page, pageRequest, spaceId, timeText } from '../schemas/basics.ts';
import {
  acceptedMessage,
  conversation,
  message,
  newConversation,
  newFork,
  newMessage,
  persona,
  rename,
  turn,
} from '../schemas/space.ts';

/** A conversation as clients get it. */
export const encodeConversation = (given: syncV1.Conversation | undefined): z.infer<typeof conversation> => {
  const one = must(given, 'session-sync answers with a conversation');
  return {
    id: one.id,
    title: one.title,
    createdAt: timeText(one.createdAtMs),
    updatedAt: timeText(one.updatedAtMs),
    ...(one.head === '' ? {} : { head: one.head }),
    count: one.count,
    ...(one.parent === '' ? {} : { parent: one.parent, forkedAt: one.forkedAt }),
  };
};

/** A message as clients get it. */
export const encodeMessage = (one: syncV1.Message): z.infer<typeof message> => ({
  id: one.id,
  conversationId: one.conversationId,
  role: one.role as 'user' | 'assistant',
  text: one.text,
  time: timeText(one.timeMs),
  ...(one.userId === '' ? {} : { userId: one.userId }),
  ...(one.platform === '' ? {} : { platform: one.platform }),
  ...(one.persona === '' ? {} : { persona: one.persona }),
  ...(one.turnId === '' ? {} : { turnId: one.turnId }),
  ...(one.clientMessageId === '' ? {} : { clientMessageId: one.clientMessageId }),
  state: one.state as 'complete' | 'cancelled' | 'failed',
  offset: one.offset,
  ...(one.metaJson === '' ? {} : { meta: JSON.parse(one.metaJson) as Record<string, unknown> }),
});

const encodeAccepted = (receipt: syncV1.AppendMessageResponse): z.infer<typeof acceptedMessage> => ({
  messageId: receipt.messageId,
  conversationId: receipt.conversationId,
  ...(receipt.turnId === '' ? {} : { turnId: receipt.turnId }),
  offset: receipt.offset,
  ...(receipt.duplicate ? { duplicate: true } : {}),
});

const encodeTurn = (given: agentV1.Turn | undefined): z.infer<typeof turn> => {
  const one = must(given, 'agent answers with a turn');
  return {
    id: one.id,
    state: one.state as z.infer<typeof turn>['state'],
    text: one.text,
    messageId: one.messageId,
    conversationId: one.conversationId,
  };
};

const tag = 'conversations';
const inSpace = z.object({ space: spaceId });
const inConversation = z.object({ space: spaceId, conversation: id });

/** Conversations, messages, turns and personas. */
export const conversationRoutes = ({ sync, agent }: Clients): Route[] => [
  route({
    method: 'get',
    path: '/v1/spaces/{space}/conversations',
    tag,
    summary: 'Conversations, the latest first',
    access: 'session',
    params: inSpace,
    query: page,
    status: 200,
    response: listOf(conversation),
    handle: async ({ params, query, ctx }) =>
      listAnswer(
        await sync.listConversations({ space: params.space, ...pageRequest(query) }, ctx),
        encodeConversation,
      ),
  }),
  route({
    method: 'post',
    path: '/v1/spaces/{space}/conversations',
    repeat: 'key',
    tag,
    summary: 'Starts a conversation',
    access: 'messages:write',
    params: inSpace,
    body: newConversation,
    status: 201,
    response: conversation,
    limit: (limits, { principal }) => limits.message(must(principal, 'signed in').userId),
    handle: async ({ params, body, idempotencyKey, ctx }) =>
      encodeConversation(
        (
          await sync.createConversation(
            { space: params.space, title: body?.title ?? '', idempotencyKey, origin: restOrigin() },
            ctx,
          )
        ).conversation,
      ),
  }),
  route({
    method: 'post',
    path: '/v1/spaces/{space}/conversations/{conversation}/fork',
    repeat: 'key',
    tag,
    summary: 'A conversation that goes on from a message of this one; both stay',
    access: 'messages:write',
    params: inConversation,
    body: newFork,
    status: 201,
    response: conversation,
    limit: (limits, { principal }) => limits.message(must(principal, 'signed in').userId),
    handle: async ({ params, body, ctx }) => {
      const { messageId, title = '', reason = '', device } = body;
      const asked = { space: params.space, conversationId: params.conversation, messageId, title, reason };
      return encodeConversation(
        (await sync.forkConversation({ ...asked, origin: restOrigin(device) }, ctx)).conversation,
      );
    },
  }),
  route({
    method: 'patch',
    path: '/v1/spaces/{space}/conversations/{conversation}',
    repeat: 'key',
    tag,
    summary: 'Gives a conversation another title',
    access: 'messages:write',
    params: inConversation,
    body: rename,
    status: 200,
    response: conversation,
    limit: (limits, { principal }) => limits.message(must(principal, 'signed in').userId),
    handle: async ({ params, body, ctx }) => {
      const { title, reason = '', device } = body;
      const asked = { space: params.space, conversationId: params.conversation, title, reason };
      return encodeConversation(
        (await sync.renameConversation({ ...asked, origin: restOrigin(device) }, ctx)).conversation,
      );
    },
  }),
  route({
    method: 'get',
    path: '/v1/spaces/{space}/conversations/{conversation}/messages',
    tag,
    summary: 'Messages, oldest first within a page; the first page ends with the newest',
    access: 'session',
    params: inConversation,
    query: page,
    status: 200,
    response: listOf(message),
    handle: async ({ params, query, ctx }) =>
      listAnswer(
        await sync.listMessages(
          { space: params.space, conversationId: params.conversation, ...pageRequest(query) },
          ctx,
        ),
        encodeMessage,
      ),
  }),
  route({
    method: 'post',
    path: '/v1/spaces/{space}/messages',
    repeat: 'key',
    tag,
    summary: 'Says something, once per `clientMessageId`; the answer comes as events',
    access: 'messages:write',
    params: inSpace,
    body: newMessage,
    bodySize: 'large',
    status: 202,
    response: acceptedMessage,
    limit: (limits, { principal }) => limits.message(must(principal, 'signed in').userId),
    handle: async ({ params, body, ctx }) =>
      encodeAccepted(
        await sync.appendMessage(
          {
            space: params.space,
            conversationId: body.conversationId ?? '',
            clientMessageId: body.clientMessageId,
            text: body.text,
            persona: body.persona ?? '',
            attachmentsJson: body.attachments === undefined ? '' : JSON.stringify(body.attachments),
            reply: body.reply ?? true,
            origin: restOrigin(),
          },
          ctx,
        ),
      ),
  }),
  route({
    method: 'get',
    path: '/v1/turns/{turn}',
    tag,
    summary: 'A turn with its text so far',
    access: 'session',
    params: z.object({ turn: id }),
    status: 200,
    response: turn,
    handle: async ({ params, ctx }) => encodeTurn((await agent.getTurn({ turnId: params.turn }, ctx)).turn),
  }),
  route({
    method: 'post',
    path: '/v1/turns/{turn}/cancel',
    repeat: 'harmless',
    tag,
    summary: 'Asks a turn to stop',
    access: 'messages:write',
    params: z.object({ turn: id }),
    status: 200,
    response: turn.pick({ state: true }),
    handle: async ({ params, ctx }) => {
      const { state } = await agent.cancelTurn({ turnId: params.turn }, ctx);
      return { state: state as z.infer<typeof turn>['state'] };
    },
  }),
  route({
    method: 'get',
    path: '/v1/personas',
    tag,
    summary: 'Personas to choose from',
    access: 'session',
    status: 200,
    response: listOf(persona),
    handle: async ({ ctx }) => ({
      items: (await agent.listPersonas({}, ctx)).items.map(({ id, name, description }) => ({
        id,
        name,
        description,
      })),
    }),
  }),
];
