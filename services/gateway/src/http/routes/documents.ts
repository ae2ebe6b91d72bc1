import type { syncV1 } from '@skein/contracts';
import { must } from '@skein/service-kit';
import { z } from 'zod';
import type { Clients } from '../../ports.ts';
import { mutationsJson } from '../mutations-json.ts';
import { restOrigin } from '../origin.ts';
import { type Route, route } from '../route.ts';
import { listAnswer, listOf, page, pageRequest, spaceId, timeText } from '../schemas/basics.ts';
import {
  collectionName,
  document,
  documentId,
  type mutationResult,
  mutationResults,
  mutations,
} from '../schemas/document.ts';

/** A document as clients get it. */
export const encodeDocument = (given: syncV1.Document | undefined): z.infer<typeof document> => {
  const one = must(given, 'session-sync answers with a document');
  return {
    collection: one.collection,
    id: one.id,
    version: one.version,
    value: JSON.parse(one.valueJson) as unknown,
    hash: one.hash,
    offset: one.offset,
    updatedAt: timeText(one.updatedAtMs),
  };
};

const tag = 'documents';
const inSpace = z.object({ space: spaceId });
const inCollection = inSpace.extend({ collection: collectionName });

/** Documents at their heads, and mutations of one device in its order. */
export const documentRoutes = ({ sync }: Clients): Route[] => [
  route({
    method: 'get',
    path: '/v1/spaces/{space}/documents',
    tag,
    summary: 'Documents of all collections',
    access: 'documents:read',
    params: inSpace,
    query: page,
    status: 200,
    response: listOf(document),
    handle: async ({ params, query, ctx }) =>
      listAnswer(
        await sync.listDocuments({ space: params.space, collection: '', ...pageRequest(query) }, ctx),
        encodeDocument,
      ),
  }),
  route({
    method: 'get',
    path: '/v1/spaces/{space}/documents/{collection}',
    tag,
    summary: 'Documents of one collection',
    access: 'documents:read',
    params: inCollection,
    query: page,
    status: 200,
    response: listOf(document),
    handle: async ({ params, query, ctx }) =>
      listAnswer(await sync.listDocuments({ ...params, ...pageRequest(query) }, ctx), encodeDocument),
  }),
  route({
    method: 'get',
    path: '/v1/spaces/{space}/documents/{collection}/{id}',
    tag,
    summary: 'One document',
    access: 'documents:read',
    params: inCollection.extend({ id: documentId }),
    status: 200,
    response: document,
    handle: async ({ params, ctx }) => encodeDocument((await sync.getDocument(params, ctx)).document),
  }),
  route({
    method: 'post',
    path: '/v1/spaces/{space}/mutations',
    repeat: 'harmless',
    tag,
    summary:
      'Applies mutations of one device in seq order; each has its own result; 410 `position_lost {epoch, head}` when it has seen another log',
    access: 'documents:write',
    params: inSpace,
    body: mutations,
    bodySize: 'large',
    status: 200,
    response: mutationResults,
    limit: (limits, { principal, body }) =>
      limits.message(must(principal, 'signed in').userId, body.mutations.length),
    handle: async ({ params, body, ctx }) => {
      const answer = await sync.mutate(
        {
          space: params.space,
          epoch: body.epoch,
          origin: restOrigin({ id: body.device }),
          mutationsJson: mutationsJson(body.mutations),
        },
        ctx,
      );
      const results = JSON.parse(answer.resultsJson) as z.infer<typeof mutationResult>[];
      return { results, lastSeq: answer.lastSeq };
    },
  }),
];
