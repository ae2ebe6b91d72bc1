import { AppError } from '@skein/contracts';
import type { CallContext } from '@skein/rpc';
import type { Clients, Identities } from '../../ports.ts';
import { listDevices } from '../devices.ts';
import { type Route, route } from '../route.ts';
import { exported } from '../schemas/account.ts';
import { listOf, page, pageRequest } from '../schemas/basics.ts';
import { opened, sealed } from '../sealed.ts';
import { encodeToken } from './auth.ts';
import { encodeConversation, encodeMessage } from './conversations.ts';
import { encodeDocument } from './documents.ts';
import { encodeIdentity } from './identities.ts';
import { encodeNotice, encodeProfile } from './me.ts';
import { encodeSpace } from './spaces.ts';

interface Page {
  readonly items: readonly unknown[];
  /** Empty at the end. */
  readonly next: string;
}

type Read = (at: { readonly limit: number; readonly cursor: string }, ctx: CallContext) => Promise<Page>;

/** A page of a service's list, encoded. */
const encoded = <T>(
  { items, next }: { readonly items: readonly T[]; readonly next: string },
  encode: (item: T) => unknown,
): Page => ({ items: items.map(encode), next });

const whole = (items: readonly unknown[]): Page => ({ items, next: '' });

const personal = 'personal';

/** The parts of a cursor; `invalid_request` for one of somebody else. */
const ours = <T>(parts: T | undefined): T => {
  if (parts === undefined) throw new AppError('invalid_request', 'This cursor is not one of ours');
  return parts;
};

/** What there is about a person, kind by kind, each as the call that answers it alone. */
const kindsOf = (
  { auth, user, sync }: Clients,
  identities: Identities,
): readonly (readonly [kind: string, read: Read])[] => {
  /** Space by space, each page by page: all of the own one, and in teams what the person wrote. */
  const messages: Read = async ({ limit, cursor }, ctx) => {
    const [place = '', within = ''] = cursor === '' ? [] : ours(opened(cursor, 2));
    const { items, next } = await sync.listSpaces({ limit: 1, cursor: place }, ctx);
    const [space] = items;
    if (!space) return whole([]);
    const said = await sync.listMessages({ space: space.id, conversationId: '', limit, cursor: within }, ctx);
    const own = said.items.filter(({ userId }) => space.kind === personal || userId === ctx.actor?.userId);
    const after = said.next === '' ? [next, ''] : [place, said.next];
    const more = said.next !== '' || next !== '';
    return {
      items: own.map((one) => ({ space: space.id, ...encodeMessage(one) })),
      next: more ? sealed(after) : '',
    };
  };
  return [
    ['profile', async (_, ctx) => whole([encodeProfile((await user.getProfile({}, ctx)).profile)])],
    [
      'identity',
      async (_, ctx) => whole((await identities.listIdentities({}, ctx)).items.map(encodeIdentity)),
    ],
    ['notice', async (at, ctx) => encoded(await user.listNotices(at, ctx), encodeNotice)],
    ['device', async (_, ctx) => whole(await listDevices({ auth, sync }, ctx))],
    ['token', async (at, ctx) => encoded(await auth.listApiTokens(at, ctx), encodeToken)],
    ['space', async (at, ctx) => encoded(await sync.listSpaces(at, ctx), encodeSpace)],
    [
      'document',
      async (at, ctx) =>
        encoded(await sync.listDocuments({ space: personal, collection: '', ...at }, ctx), encodeDocument),
    ],
    [
      'conversation',
      async (at, ctx) =>
        encoded(await sync.listConversations({ space: personal, ...at }, ctx), encodeConversation),
    ],
    ['message', messages],
  ];
};

/** A person takes along what there is about them. */
export const exportRoutes = (clients: Clients, identities: Identities): Route[] => {
  const kinds = kindsOf(clients, identities);
  return [
    route({
      method: 'get',
      path: '/v1/me/export',
      tag: 'me',
      summary: 'Everything there is about the person, kind by kind and page by page',
      access: 'login',
      query: page,
      status: 200,
      response: listOf(exported),
      handle: async ({ query, ctx }) => {
        const { limit, cursor: given } = pageRequest(query);
        const [asked = '', cursor = ''] = given === '' ? [kinds[0]?.[0]] : (opened(given, 2) ?? []);
        const at = kinds.findIndex(([kind]) => kind === asked);
        const [kind, read] = ours(kinds[at]);
        const { items, next } = await read({ limit, cursor }, ctx);
        const following = next === '' ? kinds[at + 1]?.[0] : kind;
        return {
          items: items.map((data) => ({ kind, data })),
          ...(following === undefined ? {} : { next: sealed([following, next]) }),
        };
      },
    }),
  ];
};
