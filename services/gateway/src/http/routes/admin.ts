import { AppError, type eventsV1 } from '@skein/contracts';
import type { RpcClient } from '@skein/rpc';
import type { z } from 'zod';
import type { EventAdmins } from '../../ports.ts';
import { type Route, route } from '../route.ts';
import { deadLetter, deadLetterPath, order, replayOrder, retried, serviceQuery } from '../schemas/admin.ts';
import { listOf, pageRequest, timeText } from '../schemas/basics.ts';
import { opened, sealed } from '../sealed.ts';

const encode = (service: string, letter: eventsV1.DeadLetter): z.infer<typeof deadLetter> => {
  const { consumer, eventId, type, subject, error, attempts, diedAtMs } = letter;
  return {
    id: sealed([service, consumer, eventId]),
    ...{ service, consumer, eventId, type, subject, error, attempts },
    diedAt: timeText(diedAtMs),
  };
};

const tag = 'admin';
const access = 'operator';

/** What operators do about domain events: look at dead letters, retry and drop them, publish again. */
export const adminRoutes = (admins: EventAdmins): Route[] => {
  const services = Object.keys(admins).sort();
  const adminOf = (service: string): RpcClient<eventsV1.EventAdminServiceService> => {
    const admin = Object.hasOwn(admins, service) ? admins[service] : undefined;
    if (!admin) throw new AppError('invalid_request', `service must be one of ${services.join(', ')}`);
    return admin;
  };
  const letterOf = (id: string) => {
    const [service, consumer = '', eventId = ''] = opened(id, 3) ?? [];
    if (service === undefined || !services.includes(service)) throw new AppError('not_found');
    return { admin: adminOf(service), consumer, eventId };
  };

  const placeOf = (cursor: string): readonly string[] => {
    const place = opened(cursor, 2);
    if (!place) throw new AppError('invalid_request', 'This cursor is not one of ours');
    return place;
  };

  return [
    route({
      method: 'get',
      path: '/v1/admin/dead-letters',
      tag,
      summary: 'Domain events that consumers have given up, by service and oldest first',
      access,
      query: serviceQuery,
      status: 200,
      response: listOf(deadLetter),
      // One service a page: each keeps its own, and none of them waits for another.
      handle: async ({ query, ctx }) => {
        const { limit, cursor: given } = pageRequest(query);
        const asked = query.service === undefined ? services : [query.service];
        const [current = '', cursor = ''] = given === '' ? asked.slice(0, 1) : placeOf(given);
        const { items, next } = await adminOf(current).listDeadLetters({ limit, cursor }, ctx);
        const following = next ? current : asked[asked.indexOf(current) + 1];
        return {
          items: items.map((letter) => encode(current, letter)),
          ...(following === undefined ? {} : { next: sealed([following, next]) }),
        };
      },
    }),
    route({
      method: 'post',
      path: '/v1/admin/dead-letters/{id}/retry',
      repeat: 'harmless',
      tag,
      summary: 'Has a dead letter handled again, now; its effect happens once',
      access,
      params: deadLetterPath,
      body: order,
      status: 200,
      response: retried,
      handle: async ({ params, body, ctx }) => {
        const { admin, ...letter } = letterOf(params.id);
        const { outcome, error } = await admin.retryDeadLetter({ ...letter, ...body }, ctx);
        return retried.parse({ outcome, ...(error === '' ? {} : { error }) });
      },
    }),
    route({
      method: 'post',
      path: '/v1/admin/dead-letters/{id}/drop',
      repeat: 'harmless',
      tag,
      summary: 'Forgets a dead letter: its event will have no effect',
      access,
      params: deadLetterPath,
      body: order,
      status: 204,
      handle: async ({ params, body, ctx }) => {
        const { admin, ...letter } = letterOf(params.id);
        await admin.dropDeadLetter({ ...letter, ...body }, ctx);
      },
    }),
    route({
      method: 'post',
      path: '/v1/admin/replays',
      repeat: 'harmless',
      tag,
      summary: 'Publishes domain events again from a time on; consumers have the effects once',
      access,
      body: replayOrder,
      status: 204,
      handle: async ({ body: { service, from, reason }, ctx }) => {
        await adminOf(service).replayEvents({ fromMs: Date.parse(from), reason }, ctx);
      },
    }),
  ];
};
