import type { syncV1 } from '@skein/contracts';
import { must } from '@skein/service-kit';
import { z } from 'zod';
import type { Clients } from '../../ports.ts';
import { type Route, route } from '../route.ts';
import { id, listAnswer, listOf, page, pageRequest, spaceId } from '../schemas/basics.ts';
import {
  type event,
  events,
  eventsQuery,
  member,
  memberPut,
  memberRole,
  newSpace,
  space,
  spaceState,
  stateQuery,
} from '../schemas/space.ts';

/** The closed sets of the contract arrive as text; an unknown one is a fault of the service behind. */
export const encodeSpace = (given: syncV1.Space | undefined): z.infer<typeof space> => {
  const { id, kind, title, role, epoch, head } = must(given, 'session-sync answers with a space');
  return { id, kind: kind as 'personal' | 'team', title, role: role as Role, epoch, head };
};

type Role = z.infer<typeof member>['role'];

const encodeMember = ({ userId, role }: syncV1.Member): z.infer<typeof member> => ({
  userId,
  role: role as Role,
});

const encodeEvents = (read: syncV1.ReadEventsResponse): z.infer<typeof events> => {
  const last = read.events.at(-1)?.offset ?? read.head;
  return {
    epoch: read.epoch,
    head: read.head,
    floor: read.floor,
    events: read.events.map(
      ({ offset, json }) => ({ offset, ...(JSON.parse(json) as object) }) as z.infer<typeof event>,
    ),
    ...(last < read.head ? { next: last } : {}),
  };
};

type SpaceState = z.infer<typeof spaceState>;

const joinParts = async (parts: AsyncIterable<syncV1.ReadSnapshotResponse>): Promise<SpaceState> => {
  const state: SpaceState = { epoch: '', offset: 0, documents: [], conversations: [], stateHash: '' };
  for await (const { epoch, offset, json } of parts) {
    const part = JSON.parse(json) as Pick<SpaceState, 'documents' | 'conversations'> & Partial<SpaceState>;
    for (const one of part.documents) state.documents.push(one);
    for (const one of part.conversations) state.conversations.push(one);
    Object.assign(state, { epoch, offset, stateHash: part.stateHash ?? '' });
  }
  return state;
};

/** What it costs to read a whole state, in messages: it is replayed. */
const stateCost = 2;
/** What it costs to make a space, in messages: it stays. */
const createCost = 10;
/** What it costs to invite somebody, or to come into a space: others get to see it. */
export const memberCost = 2;

const tag = 'spaces';
const params = z.object({ space: spaceId });
const memberParams = z.object({ space: spaceId, user: id });

/** Spaces, their members and their logs. */
export const spaceRoutes = ({ sync }: Clients): Route[] => [
  route({
    method: 'get',
    path: '/v1/spaces',
    tag,
    summary: 'The person’s spaces',
    access: 'session',
    query: page,
    status: 200,
    response: listOf(space),
    handle: async ({ query, ctx }) => listAnswer(await sync.listSpaces(pageRequest(query), ctx), encodeSpace),
  }),
  route({
    method: 'post',
    path: '/v1/spaces',
    repeat: 'key',
    tag,
    summary: 'Makes a team space',
    access: 'session',
    body: newSpace,
    status: 201,
    response: space,
    limit: (limits, { principal }) => limits.message(must(principal, 'signed in').userId, createCost),
    handle: async ({ body, idempotencyKey, ctx }) =>
      encodeSpace((await sync.createSpace({ title: body.title, idempotencyKey }, ctx)).space),
  }),
  route({
    method: 'get',
    path: '/v1/spaces/{space}',
    tag,
    summary: 'One space',
    access: 'session',
    params,
    status: 200,
    response: space,
    handle: async ({ params, ctx }) => encodeSpace((await sync.getSpace({ space: params.space }, ctx)).space),
  }),
  route({
    method: 'get',
    path: '/v1/spaces/{space}/members',
    tag,
    summary: 'Who is in the space',
    access: 'session',
    params,
    query: page,
    status: 200,
    response: listOf(member),
    handle: async ({ params, query, ctx }) =>
      listAnswer(await sync.listMembers({ space: params.space, ...pageRequest(query) }, ctx), encodeMember),
  }),
  route({
    method: 'put',
    path: '/v1/spaces/{space}/members/{user}',
    repeat: 'key',
    tag,
    summary: 'Changes the role of a member; who is none is invited, and has to accept; owners only',
    access: 'session',
    params: memberParams,
    body: memberRole,
    status: 200,
    response: memberPut,
    limit: (limits, { principal }) => limits.message(must(principal, 'signed in').userId, memberCost),
    handle: async ({ params, body, ctx }) => {
      const { space, user: userId } = params;
      const put = await sync.putMember({ space, userId, role: body.role }, ctx);
      const encoded = encodeMember(must(put.member, 'session-sync answers with a member'));
      return put.invited ? { ...encoded, invited: true } : encoded;
    },
  }),
  route({
    method: 'delete',
    path: '/v1/spaces/{space}/members/{user}',
    repeat: 'key',
    tag,
    summary: 'Removes somebody from a team space; owners anybody, everybody themselves',
    access: 'session',
    params: memberParams,
    status: 204,
    handle: async ({ params, ctx }) => {
      await sync.removeMember({ space: params.space, userId: params.user }, ctx);
    },
  }),
  route({
    method: 'get',
    path: '/v1/spaces/{space}/events',
    tag,
    summary: 'The log after a position; 410 `position_lost {epoch, head, floor}` when it is not in the log',
    access: 'session',
    params,
    query: eventsQuery,
    status: 200,
    response: events,
    handle: async ({ params, query, ctx }) =>
      encodeEvents(
        await sync.readEvents(
          {
            space: params.space,
            epoch: query.epoch ?? '',
            after: query.after ?? 0,
            limit: query.limit ?? 200,
          },
          ctx,
        ),
      ),
  }),
  route({
    method: 'get',
    path: '/v1/spaces/{space}/state',
    tag,
    summary: 'What the space held at an offset or a time; 410 `position_lost` when it is not in the log',
    access: 'session',
    params,
    query: stateQuery,
    status: 200,
    response: spaceState,
    limit: (limits, { principal }) => limits.message(must(principal, 'signed in').userId, stateCost),
    handle: ({ params, query, ctx }) =>
      joinParts(sync.readSnapshot({ space: params.space, at: query.at ?? '' }, ctx)),
  }),
];
