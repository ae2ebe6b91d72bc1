import { AppError, syncV1 } from '@skein/contracts';
import { type Handlers, type Implementation, implement } from '@skein/rpc';
import type { SessionApp } from '../app/session-app.ts';
import { checkedOneOf, pageLimit } from '../app/validate.ts';
import { callOf, requiredDevice, serviceCallOf } from './call.ts';
import { fromLiveRequests, toConversation, toEvents, toLiveResponse, toMessage, toSpace } from './encode.ts';

type SyncHandlers = Handlers<typeof syncV1.SyncServiceService>;

const page = ({ limit, cursor }: { limit: number; cursor: string }) => ({
  limit: pageLimit(limit, 50, 200),
  cursor: cursor || undefined,
});

const later = async (): Promise<never> => {
  throw new AppError('not_implemented');
};

const spaceHandlers = ({ spaces }: SessionApp) =>
  ({
    openSession: async (req, ctx) => ({
      spaces: (await spaces.openSession(callOf(ctx), requiredDevice(req.device))).map(toSpace),
    }),
    listSpaces: async (req, ctx) => {
      const { items, next } = await spaces.listSpaces(callOf(ctx), page(req));
      return { items: items.map(toSpace), next: next ?? '' };
    },
    getSpace: async (req, ctx) => ({ space: toSpace(await spaces.getSpace(callOf(ctx), req.space)) }),
    createSpace: async (req, ctx) => ({
      space: toSpace(await spaces.createSpace(callOf(ctx), req.title, req.idempotencyKey)),
    }),
    listMembers: async (req, ctx) => {
      const { items, next } = await spaces.listMembers(callOf(ctx), req.space, page(req));
      return { items: [...items], next: next ?? '' };
    },
    putMember: async (req, ctx) => ({
      member: {
        userId: req.userId,
        role: await spaces.putMember(callOf(ctx), req.space, req.userId, req.role),
      },
    }),
    removeMember: async (req, ctx) => {
      await spaces.removeMember(callOf(ctx), req.space, req.userId);
      return {};
    },
  }) satisfies Partial<SyncHandlers>;

const logHandlers = ({ readEvents, readSnapshot, live }: SessionApp) =>
  ({
    readSnapshot: (req, ctx) => readSnapshot(callOf(ctx), req.space),
    readEvents: async (req, ctx) => {
      const { events, ...at } = await readEvents(callOf(ctx), req);
      return { ...at, events: toEvents(events) };
    },
    live: async function* (requests, ctx) {
      for await (const frame of live(fromLiveRequests(requests), ctx.signal)) yield toLiveResponse(frame);
    },
  }) satisfies Partial<SyncHandlers>;

const conversationHandlers = ({ conversations, appendMessage, turns }: SessionApp) =>
  ({
    listConversations: async (req, ctx) => {
      const { items, next } = await conversations.list(callOf(ctx), req.space, page(req));
      return { items: items.map(toConversation), next: next ?? '' };
    },
    createConversation: async (req, ctx) => {
      const row = await conversations.create(
        callOf(ctx, req.origin),
        req.space,
        req.title,
        req.idempotencyKey,
      );
      return { conversation: toConversation(row), offset: row.offset };
    },
    listMessages: async (req, ctx) => {
      const { items, next } = await conversations.messages(
        callOf(ctx),
        req.space,
        req.conversationId,
        page(req),
      );
      return { items: items.map(toMessage), next: next ?? '' };
    },
    searchMessages: async (req, ctx) => ({
      items: (await conversations.search(callOf(ctx), req.space, req.query, req.limit)).map(toMessage),
    }),
    appendMessage: async (req, ctx) => {
      const appended = await appendMessage(callOf(ctx, req.origin), {
        ...req,
        attachments: req.attachmentsJson,
      });
      return {
        ...appended,
        turnId: appended.turnId ?? '',
        answerMessageId: appended.answerMessageId ?? '',
      };
    },
    startTurn: async (req, ctx) => {
      const started = await turns.start(serviceCallOf(ctx), req.space, req.turnId);
      return { ...started, ended: started.ended ?? '' };
    },
    endTurn: (req, ctx) =>
      turns.end(serviceCallOf(ctx), {
        ...req,
        outcome: checkedOneOf('outcome', req.outcome, ['completed', 'cancelled', 'failed']),
        meta: req.metaJson,
      }),
    publishTokens: async (req) => {
      turns.tokens(req);
      return {};
    },
  }) satisfies Partial<SyncHandlers>;

/** The service's calls: decode, one use case, encode. */
export const syncImplementation = (app: SessionApp): Implementation =>
  implement(
    syncV1.SyncServiceService,
    {
      ...spaceHandlers(app),
      ...logHandlers(app),
      ...conversationHandlers(app),
      mutate: later,
      listDocuments: later,
      getDocument: later,
      compareDocuments: later,
      changeSession: later,
      registerPlatform: later,
      ackDevice: later,
      listDevices: later,
      removeDevice: later,
      applyClassic: later,
      readClassic: later,
    },
    {
      allow: {
        live: ['gateway'],
        startTurn: ['agent'],
        endTurn: ['agent'],
        publishTokens: ['agent'],
      },
    },
  );
