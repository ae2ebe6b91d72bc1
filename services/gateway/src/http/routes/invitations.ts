import type { syncV1 } from '@skein/contracts';
import type { CallContext } from '@skein/rpc';
import { must } from '@skein/service-kit';
import { z } from 'zod';
import type { Clients } from '../../ports.ts';
import { type Route, route } from '../route.ts';
import { id, listAnswer, listOf, page, pageRequest, spaceId, timeText } from '../schemas/basics.ts';
import {
  invitation,
  invitationCode,
  invitationPreview,
  newInvitation,
  receivedInvitation,
} from '../schemas/invitation.ts';
import { space } from '../schemas/space.ts';
import { encodeSpace, memberCost } from './spaces.ts';

/** The closed sets of the contract arrive as text; an unknown one is a fault of the service behind. */
type Role = z.infer<typeof invitation>['role'];

const encodeInvitation = (given: syncV1.Invitation | undefined): z.infer<typeof invitation> => {
  const one = must(given, 'session-sync answers with an invitation');
  return {
    ...{ id: one.id, role: one.role as Role, code: one.code, createdBy: one.createdBy },
    ...(one.userId === '' ? {} : { userId: one.userId }),
    ...(one.email === '' ? {} : { email: one.email }),
    ...{ createdAt: timeText(one.createdAtMs), expiresAt: timeText(one.expiresAtMs) },
  };
};

const encodeReceived = (given: syncV1.ReceivedInvitation): z.infer<typeof receivedInvitation> => {
  const { id, role, code, createdBy, createdAt, expiresAt } = encodeInvitation(given.invitation);
  return { id, space: given.space, title: given.title, role, code, createdBy, createdAt, expiresAt };
};

const tag = 'spaces';
const inSpace = z.object({ space: spaceId });

/** Coming into a team space by a code. */
export const invitationRoutes = ({ sync, user }: Clients): Route[] => {
  /** An invitation may be for one address: that of the account, which only the person's own profile tells. */
  const emailOf = async (ctx: CallContext): Promise<string> =>
    must((await user.getProfile({}, ctx)).profile, 'user answers with a profile').email;

  return [
    route({
      method: 'get',
      path: '/v1/spaces/{space}/invitations',
      tag,
      summary: 'Invitations that can still be used; owners only',
      access: 'session',
      params: inSpace,
      query: page,
      status: 200,
      response: listOf(invitation),
      handle: async ({ params, query, ctx }) =>
        listAnswer(
          await sync.listInvitations({ space: params.space, ...pageRequest(query) }, ctx),
          encodeInvitation,
        ),
    }),
    route({
      method: 'post',
      path: '/v1/spaces/{space}/invitations',
      repeat: 'key',
      tag,
      summary:
        'Invites one person, who has to accept; the same answer whether or not the address has an account',
      access: 'session',
      params: inSpace,
      body: newInvitation,
      status: 201,
      response: invitation,
      limit: (limits, { principal }) => limits.message(must(principal, 'signed in').userId, memberCost),
      handle: async ({ params, body, ctx }) => {
        const { role, email = '', expiresInHours = 0 } = body;
        const made = await sync.createInvitation({ space: params.space, role, email, expiresInHours }, ctx);
        return encodeInvitation(made.invitation);
      },
    }),
    route({
      method: 'delete',
      path: '/v1/spaces/{space}/invitations/{invitation}',
      repeat: 'harmless',
      tag,
      summary: 'Takes an invitation back that nobody has used',
      access: 'session',
      params: inSpace.extend({ invitation: id }),
      status: 204,
      handle: async ({ params, ctx }) => {
        await sync.revokeInvitation({ space: params.space, invitationId: params.invitation }, ctx);
      },
    }),
    route({
      method: 'post',
      path: '/v1/invitations/preview',
      repeat: 'harmless',
      tag,
      summary: 'What the person would accept; 404 for every code that opens nothing',
      access: 'session',
      body: invitationCode,
      status: 200,
      response: invitationPreview,
      limit: (limits, { principal }) => limits.message(must(principal, 'signed in').userId, memberCost),
      handle: async ({ body, ctx }) => {
        const { title, role, expiresAtMs } = await sync.readInvitation(
          { code: body.code, email: await emailOf(ctx) },
          ctx,
        );
        return { title, role: role as Role, expiresAt: timeText(expiresAtMs) };
      },
    }),
    route({
      method: 'post',
      path: '/v1/invitations/accept',
      repeat: 'harmless',
      tag,
      summary: 'Comes into the space, once per invitation',
      access: 'session',
      body: invitationCode,
      status: 200,
      response: space,
      limit: (limits, { principal }) => limits.message(must(principal, 'signed in').userId, memberCost),
      handle: async ({ body, ctx }) => {
        const accepted = await sync.acceptInvitation({ code: body.code, email: await emailOf(ctx) }, ctx);
        return encodeSpace(accepted.space);
      },
    }),
    route({
      method: 'get',
      path: '/v1/invitations',
      tag,
      summary: 'Invitations for the person that can still be used',
      access: 'session',
      query: page,
      status: 200,
      response: listOf(receivedInvitation),
      handle: async ({ query, ctx }) =>
        listAnswer(await sync.listReceivedInvitations(pageRequest(query), ctx), encodeReceived),
    }),
    route({
      method: 'post',
      path: '/v1/invitations/decline',
      repeat: 'harmless',
      tag,
      summary: 'Ends an invitation for the person or their address',
      access: 'session',
      body: invitationCode,
      status: 204,
      limit: (limits, { principal }) => limits.message(must(principal, 'signed in').userId, memberCost),
      handle: async ({ body, ctx }) => {
        await sync.declineInvitation({ code: body.code, email: await emailOf(ctx) }, ctx);
      },
    }),
  ];
};
