import { syncV1 } from '@skein/contracts';
import { type Handlers, type Implementation, implement } from '@skein/rpc';
import type { SessionApp } from '../app/session-app.ts';
import { checkedOneOf, pageLimit } from '../app/validate.ts';
import { callOf, requiredDevice, serviceCallOf } from './call.ts';
import {
  fromLiveRequests,
  fromSyncData,
  toConflict,
  toConversation,
  toDeviceState,
  toDocument,
  toEvents,
  toInvitation,
  toLiveResponse,
  toMessage,
  toReceivedInvitation,
  toSpace,
  toSyncData,
} from './encode.ts';

type SyncHandlers = Handlers<typeof syncV1.SyncServiceService>;

const page = ({ limit, cursor }: { limit: number; cursor: string }) => ({
  limit: pageLimit(limit, 50, 200),
  cursor: cursor || undefined,
});

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
    putMember: async ({ space, userId, role: wanted }, ctx) => {
      const { role, invited } = await spaces.putMember(callOf(ctx), space, userId, wanted);
      return { member: { userId, role }, invited };
    },
    removeMember: async (req, ctx) => {
      await spaces.removeMember(callOf(ctx), req.space, req.userId);
      return {};
    },
  }) satisfies Partial<SyncHandlers>;

const invitationHandlers = ({ invitations }: SessionApp) =>
  ({
    createInvitation: async (req, ctx) => {
      const { space, role, email, expiresInHours: hours } = req;
      const made = await invitations.create(callOf(ctx), space, { role, email, hours });
      return { invitation: toInvitation(made) };
    },
    listInvitations: async (req, ctx) => {
      const { items, next } = await invitations.list(callOf(ctx), req.space, page(req));
      return { items: items.map(toInvitation), next: next ?? '' };
    },
    revokeInvitation: async (req, ctx) => {
      await invitations.revoke(callOf(ctx), req.space, req.invitationId);
      return {};
    },
    readInvitation: (req, ctx) => invitations.read(callOf(ctx), req.code, req.email),
    acceptInvitation: async (req, ctx) => ({
      space: toSpace(await invitations.accept(callOf(ctx), req.code, req.email)),
    }),
    listReceivedInvitations: async (req, ctx) => {
      const { items, next } = await invitations.received(callOf(ctx), page(req));
      return { items: items.map(toReceivedInvitation), next: next ?? '' };
    },
    declineInvitation: async (req, ctx) => {
      await invitations.decline(callOf(ctx), req.code, req.email);
      return {};
    },
    lookUpInvitation: async (req) => ({
      found: toReceivedInvitation(await invitations.lookUp(req.invitationId)),
    }),
  }) satisfies Partial<SyncHandlers>;

const conflictHandlers = ({ conflicts }: SessionApp) =>
  ({
    listConflicts: async (req, ctx) => {
      const { items, next } = await conflicts.list(callOf(ctx), req.space, req.state, page(req));
      return { items: items.map(toConflict), next: next ?? '' };
    },
    resolveConflict: async (req, ctx) => ({
      conflict: await conflicts.resolve(callOf(ctx, req.origin), req.space, req.conflictId, {
        ...req,
        value: req.valueJson,
      }),
    }),
    undoConflict: async (req, ctx) => ({
      conflict: await conflicts.undo(callOf(ctx, req.origin), req.space, req.conflictId),
    }),
  }) satisfies Partial<SyncHandlers>;

const logHandlers = ({ readEvents, readSnapshot, readStateHashes, live }: SessionApp) =>
  ({
    readSnapshot: (req, ctx) => readSnapshot(callOf(ctx), req.space, req.at),
    readStateHashes: async (req, ctx) => ({ items: [...(await readStateHashes(req.spaces, ctx.signal))] }),
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
    forkConversation: async (req, ctx) => ({
      conversation: toConversation(
        await conversations.fork(callOf(ctx, req.origin), req.space, {
          conversationId: req.conversationId,
          messageId: req.messageId,
          title: req.title,
          reason: req.reason,
        }),
      ),
    }),
    renameConversation: async (req, ctx) => ({
      conversation: toConversation(await conversations.rename(callOf(ctx, req.origin), req.space, req)),
    }),
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

const documentHandlers = ({ documents }: SessionApp) =>
  ({
    mutate: async (req, ctx) => {
      const device = requiredDevice(req.origin?.device);
      const { results, lastSeq, deliveredTo } = await documents.mutate(
        callOf(ctx, req.origin),
        device,
        req.space,
        req,
      );
      return { resultsJson: `[${results.join(',')}]`, lastSeq, deliveredTo };
    },
    listDocuments: async (req, ctx) => {
      const { items, next } = await documents.list(callOf(ctx), req.space, req.collection, page(req));
      return { items: items.map(toDocument), next: next ?? '' };
    },
    getDocument: async (req, ctx) => ({
      document: toDocument(await documents.get(callOf(ctx), req.space, req.collection, req.id)),
    }),
    compareDocuments: async (req, ctx) => {
      const page = await documents.compare(callOf(ctx), req.space, req.versions, req.cursor);
      const { offset, documents: rows, gone, next } = page;
      return { offset, documents: rows.map(toDocument), gone: [...gone], next: next ?? '' };
    },
    changeSession: (req, ctx) => documents.changeSession(callOf(ctx, req.origin), req.space, req),
  }) satisfies Partial<SyncHandlers>;

const deviceHandlers = ({ devices }: SessionApp) =>
  ({
    registerPlatform: (req, ctx) =>
      devices.register(callOf(ctx, req.origin), requiredDevice(req.origin?.device)),
    ackDevice: async (req, ctx) => {
      await devices.ack(callOf(ctx), req.space, req.deviceId, req);
      return {};
    },
    listDevices: async (req, ctx) => ({
      items: (await devices.list(callOf(ctx), req.deviceId)).map(toDeviceState),
    }),
    removeDevice: async (req, ctx) => {
      await devices.remove(callOf(ctx), req.deviceId);
      return {};
    },
  }) satisfies Partial<SyncHandlers>;

const classicHandlers = ({ classic }: SessionApp) =>
  ({
    applyClassic: async (req, ctx) => {
      const device = requiredDevice(req.origin?.device);
      const applied = await classic.apply(callOf(ctx, req.origin), device, fromSyncData(req.data), req);
      return { ...applied, server: toSyncData(applied.server), conflictId: applied.conflictId ?? '' };
    },
    readClassic: async (req, ctx) => {
      const call = callOf(ctx);
      const { items, next, ...at } = req.compare
        ? await classic.compare(call, req.versions, req.cursor)
        : await classic.changed(call, req.afterOffset, req.deviceId);
      return { ...at, items: items.map(toSyncData), next: next ?? '' };
    },
  }) satisfies Partial<SyncHandlers>;

/** People come through the gateway; the agent reads what it answers to, and answers. */
const gatewayOnly = ['gateway'];
const agentOnly = ['agent'];
const userOnly = ['user'];
const both = ['gateway', 'agent'];
const allow = {
  openSession: gatewayOnly,
  listSpaces: gatewayOnly,
  getSpace: ['gateway', 'agent', 'auth'],
  createSpace: gatewayOnly,
  listMembers: gatewayOnly,
  putMember: gatewayOnly,
  removeMember: gatewayOnly,
  createInvitation: gatewayOnly,
  listInvitations: gatewayOnly,
  revokeInvitation: gatewayOnly,
  readInvitation: gatewayOnly,
  acceptInvitation: gatewayOnly,
  listReceivedInvitations: gatewayOnly,
  declineInvitation: gatewayOnly,
  lookUpInvitation: userOnly,
  readSnapshot: gatewayOnly,
  readStateHashes: gatewayOnly,
  readEvents: gatewayOnly,
  live: gatewayOnly,
  listConversations: gatewayOnly,
  createConversation: gatewayOnly,
  forkConversation: gatewayOnly,
  renameConversation: gatewayOnly,
  listMessages: both,
  searchMessages: agentOnly,
  appendMessage: gatewayOnly,
  startTurn: agentOnly,
  endTurn: agentOnly,
  publishTokens: agentOnly,
  mutate: gatewayOnly,
  streamMutate: gatewayOnly,
  listDocuments: both,
  getDocument: gatewayOnly,
  compareDocuments: gatewayOnly,
  changeSession: gatewayOnly,
  listConflicts: gatewayOnly,
  resolveConflict: gatewayOnly,
  undoConflict: gatewayOnly,
  registerPlatform: gatewayOnly,
  ackDevice: gatewayOnly,
  listDevices: gatewayOnly,
  removeDevice: gatewayOnly,
  applyClassic: gatewayOnly,
  readClassic: gatewayOnly,
};

/** The service's calls: decode, one use case, encode. */
export const syncImplementation = (app: SessionApp): Implementation =>
  implement(
    syncV1.SyncServiceService,
    {
      ...spaceHandlers(app),
      ...invitationHandlers(app),
      ...logHandlers(app),
      ...conversationHandlers(app),
      ...documentHandlers(app),
      ...conflictHandlers(app),
      ...deviceHandlers(app),
      ...classicHandlers(app),
    },
    { allow, carries: { streamMutate: 'mutate' } },
  );
