import type { syncV1 } from '@skein/contracts';
import { must } from '@skein/service-kit';
import { z } from 'zod';
import type { Clients } from '../../ports.ts';
import { restOrigin } from '../origin.ts';
import { type Route, route } from '../route.ts';
import { id, listAnswer, listOf, page, pageRequest, spaceId, timeText } from '../schemas/basics.ts';
import { conflict, conflictState, endedConflict, resolution, undoing } from '../schemas/conflict.ts';

type Shown = z.infer<typeof conflict>;

const sideValue = (json: string | undefined): { value?: unknown } =>
  json === undefined ? {} : { value: JSON.parse(json) as unknown };

/** The closed sets of the contract arrive as text; an unknown one is a fault of the service behind. */
const encodeConflict = (one: syncV1.Conflict): Shown => ({
  ...{ id: one.id, collection: one.collection, documentId: one.documentId, field: one.field },
  ...{ strategy: one.strategy, reason: one.reason },
  state: one.state as Shown['state'],
  winner: one.winner as Shown['winner'],
  server: { version: one.serverVersion, ...sideValue(one.serverJson) },
  client: {
    ...{ user: one.userId, device: one.deviceId, baseVersion: one.baseVersion },
    ...(one.seq === 0 ? {} : { seq: one.seq }),
    ...sideValue(one.clientJson),
  },
  version: one.version,
  createdAt: timeText(one.createdAtMs),
  ...(one.choice === ''
    ? {}
    : {
        ended: {
          choice: one.choice as NonNullable<Shown['ended']>['choice'],
          ...{ by: one.closedBy, at: timeText(one.closedAtMs), version: one.closedVersion },
        },
      }),
});

const encodeEnded = (given: syncV1.EndedConflict | undefined): z.infer<typeof endedConflict> => {
  const one = must(given, 'session-sync answers with how it ended');
  return { ...one, state: one.state as 'resolved' | 'undone' };
};

const tag = 'documents';
const inSpace = z.object({ space: spaceId });
const params = inSpace.extend({ conflict: id });

/** What lost against something else, and what people make of it. */
export const conflictRoutes = ({ sync }: Clients): Route[] => [
  route({
    method: 'get',
    path: '/v1/spaces/{space}/conflicts',
    tag,
    summary: 'Conflicts, newest first: both sides, what was chosen and why',
    access: 'documents:read',
    params: inSpace,
    query: page.extend({ state: conflictState.optional().describe('Only these') }),
    status: 200,
    response: listOf(conflict),
    handle: async ({ params: { space }, query, ctx }) =>
      listAnswer(
        await sync.listConflicts({ space, state: query.state ?? '', ...pageRequest(query) }, ctx),
        encodeConflict,
      ),
  }),
  route({
    method: 'post',
    path: '/v1/spaces/{space}/conflicts/{conflict}/resolve',
    repeat: 'key',
    tag,
    summary: 'Settles an open conflict; 409 `superseded {version}` when the document was changed since',
    access: 'documents:write',
    params,
    body: resolution,
    bodySize: 'large',
    status: 200,
    response: endedConflict,
    limit: (limits, { principal }) => limits.message(must(principal, 'signed in').userId),
    handle: async ({ params: { space, conflict: conflictId }, body, ctx }) => {
      const { choice, value, version, device } = body;
      const ended = await sync.resolveConflict(
        {
          ...{ space, conflictId, choice, version, origin: restOrigin({ id: device }) },
          valueJson: value === undefined ? undefined : JSON.stringify(value),
        },
        ctx,
      );
      return encodeEnded(ended.conflict);
    },
  }),
  route({
    method: 'post',
    path: '/v1/spaces/{space}/conflicts/{conflict}/undo',
    repeat: 'key',
    tag,
    summary: 'Brings back what lost; 409 `superseded {version}` when the field was written since',
    access: 'documents:write',
    params,
    body: undoing,
    status: 200,
    response: endedConflict,
    limit: (limits, { principal }) => limits.message(must(principal, 'signed in').userId),
    handle: async ({ params: { space, conflict: conflictId }, body, ctx }) => {
      const undone = await sync.undoConflict(
        { space, conflictId, origin: restOrigin({ id: body?.device }) },
        ctx,
      );
      return encodeEnded(undone.conflict);
    },
  }),
];
