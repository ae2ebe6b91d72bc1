import { AppError, type sagaV1, toAppError } from '@skein/contracts';
import type { CallContext, RpcClient } from '@skein/rpc';
import { must } from '@skein/service-kit';
import type { z } from 'zod';
import type { SagaClients } from '../../ports.ts';
import { type Route, route } from '../route.ts';
import { listOf, pageRequest, timeText } from '../schemas/basics.ts';
import {
  adminSaga,
  adminSagaJournal,
  ownSaga,
  sagaOrder,
  sagaPath,
  sagaQuery,
  sagaState,
  sagaVerb,
} from '../schemas/saga.ts';
import { opened, sealed } from '../sealed.ts';

type OwnSaga = z.infer<typeof ownSaga>;
type AdminSaga = z.infer<typeof adminSaga>;
type State = OwnSaga['state'];

/** The id by which clients know a saga of a service. */
export const sagaRef = (service: string, id: string): string => sealed([service, id]);

/** The service whose saga an id names, and its id there; `not_found` for anything else. */
const found = (sagas: SagaClients, word: string) => {
  const [service = '', id = ''] = opened(word, 2) ?? [];
  const client = Object.hasOwn(sagas, service) ? sagas[service] : undefined;
  if (!client) throw new AppError('not_found', 'There is no such saga');
  return { service, id, client };
};

/** The closed sets of the contract arrive as text; an unknown one is a fault of the service behind. */
const headOf = (
  service: string,
  one: Pick<
    sagaV1.Saga,
    'id' | 'name' | 'state' | 'createdAtMs' | 'endedAtMs' | 'failureCode' | 'failureDetail'
  >,
) => ({
  id: sagaRef(service, one.id),
  name: one.name,
  state: one.state as State,
  createdAt: timeText(one.createdAtMs),
  ...(one.endedAtMs === 0 ? {} : { endedAt: timeText(one.endedAtMs) }),
  ...(one.failureCode === '' ? {} : { failure: { code: one.failureCode, detail: one.failureDetail } }),
});

const encodeOwn = (service: string, answer: sagaV1.GetOwnSagaResponse): OwnSaga => {
  const saga = must(answer.saga, `${service} answers with the saga`);
  const steps = saga.steps.map(({ step, kind, atMs }) => ({ step, kind, at: timeText(atMs) }));
  return { ...headOf(service, saga), steps };
};

const encodeAdmin = (service: string, saga: sagaV1.Saga): AdminSaga => ({
  ...headOf(service, saga),
  ...{ service, version: saga.version, correlationId: saga.correlationId, attempts: saga.attempts },
  input: JSON.parse(saga.inputJson) as unknown,
  ...(saga.subject === '' ? {} : { subject: saga.subject }),
  ...(saga.dueAtMs === 0 ? {} : { dueAt: timeText(saga.dueAtMs) }),
  ...(saga.owner === '' ? {} : { owner: saga.owner }),
});

const encodeEntry = ({ dataJson, actor, reason, atMs, ...entry }: sagaV1.SagaEntry) => ({
  ...entry,
  at: timeText(atMs),
  ...(dataJson === '' ? {} : { data: JSON.parse(dataJson) as unknown }),
  ...(actor === '' ? {} : { actor, reason }),
});

async function* changes(
  service: string,
  client: RpcClient<sagaV1.SagaServiceService>,
  id: string,
  ctx: CallContext,
) {
  try {
    for await (const answer of client.watchOwnSaga({ id }, ctx))
      yield { event: 'saga', data: encodeOwn(service, answer) };
  } catch (error) {
    // The watch has its length; the saga goes on and can be watched again.
    if (toAppError(error).code !== 'deadline_exceeded') throw error;
  }
}

/** A person watches what they have begun. */
export const sagaRoutes = (sagas: SagaClients): Route[] => [
  route({
    method: 'get',
    path: '/v1/sagas/{id}',
    tag: 'sagas',
    summary:
      'How far an operation has got; `Accept: text/event-stream` tells each change until its end, for up to two minutes: then open it again',
    access: 'session',
    params: sagaPath,
    status: 200,
    response: ownSaga,
    waits: true,
    handle: async ({ params, ctx, wantsEventStream }) => {
      const { service, id, client } = found(sagas, params.id);
      const now = encodeOwn(service, await client.getOwnSaga({ id }, ctx));
      return wantsEventStream ? { events: changes(service, client, id, ctx) } : now;
    },
  }),
];

const tag = 'admin';
const access = 'operator';

/** What operators see of sagas and do about them. */
export const sagaAdminRoutes = (sagas: SagaClients): Route[] => {
  const services = Object.keys(sagas).sort();
  return [
    route({
      method: 'get',
      path: '/v1/admin/sagas',
      tag,
      summary: 'Sagas by service, newest first',
      access,
      query: sagaQuery,
      status: 200,
      response: listOf(adminSaga),
      handle: async ({ query, ctx }) => {
        const { limit, cursor: given } = pageRequest(query);
        const asked = query.service === undefined ? services : [query.service];
        const place = given === '' ? [asked[0] ?? '', ''] : opened(given, 2);
        if (!place) throw new AppError('invalid_request', 'This cursor is not one of ours');
        const states = query.state === undefined ? [] : [query.state];
        const { name = '', subject = '' } = query;
        const found: AdminSaga[] = [];
        let [service, cursor = ''] = place;
        // One service after the other, until the page is full.
        while (service !== undefined && found.length < limit) {
          const client = Object.hasOwn(sagas, service) ? sagas[service] : undefined;
          if (!client) throw new AppError('invalid_request', `service must be one of ${services.join(', ')}`);
          const request = { states, name, subject, limit: limit - found.length, cursor };
          let page: sagaV1.ListSagasResponse;
          try {
            page = await client.listSagas(request, ctx);
          } catch (error) {
            // What the others have told is told; who goes on from here hears of it.
            if (found.length > 0) break;
            throw error;
          }
          for (const saga of page.items) found.push(encodeAdmin(service, saga));
          cursor = page.next;
          if (cursor === '') service = asked[asked.indexOf(service) + 1];
        }
        return { items: found, ...(service === undefined ? {} : { next: sealed([service, cursor]) }) };
      },
    }),
    route({
      method: 'get',
      path: '/v1/admin/sagas/{id}',
      tag,
      summary: 'A saga with its journal',
      access,
      params: sagaPath,
      status: 200,
      response: adminSagaJournal,
      handle: async ({ params, ctx }) => {
        const { service, id, client } = found(sagas, params.id);
        const { saga, entries } = await client.getSaga({ id }, ctx);
        return {
          saga: encodeAdmin(service, must(saga, `${service} answers with the saga`)),
          entries: entries.map(encodeEntry),
        };
      },
    }),
    route({
      method: 'post',
      path: '/v1/admin/sagas/{id}/{verb}',
      repeat: 'harmless',
      tag,
      summary: 'Cancels, compensates, retries, parks, skips, completes or kills a saga',
      access,
      params: sagaVerb,
      body: sagaOrder,
      status: 200,
      response: sagaState,
      handle: async ({ params, body: { reason, value }, ctx }) => {
        const { id, client } = found(sagas, params.id);
        const verb = params.verb.replace('-', '_');
        const valueJson = value === undefined ? '' : JSON.stringify(value);
        const { state } = await client.operateSaga({ id, verb, reason, valueJson }, ctx);
        return { state: state as State };
      },
    }),
  ];
};
