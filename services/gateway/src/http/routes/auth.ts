import { AppError, type authV1 } from '@skein/contracts';
import { must } from '@skein/service-kit';
import { z } from 'zod';
import type { Clients } from '../../ports.ts';
import { type Route, route } from '../route.ts';
import {
  apiToken,
  createdApiToken,
  login,
  logout,
  newApiToken,
  refresh,
  register,
  signedIn,
  ticket,
} from '../schemas/account.ts';
import { type device, id, listAnswer, listOf, page, pageRequest, timeText } from '../schemas/basics.ts';

const encodeDevice = (given: z.infer<typeof device> | undefined): authV1.DeviceInfo | undefined =>
  given && { id: given.id, platform: given.platform, name: given.name ?? '' };

const encodeSignedIn = ({ account, tokens }: authV1.LoginResponse): z.infer<typeof signedIn> => {
  const person = must(account, 'auth answers with an account');
  const pair = must(tokens, 'auth answers with tokens');
  return {
    user: {
      id: person.id,
      email: person.email,
      displayName: person.displayName,
      createdAt: timeText(person.createdAtMs),
    },
    accessToken: pair.accessToken,
    refreshToken: pair.refreshToken,
    expiresIn: pair.expiresInS,
  };
};

/** An API token as clients get it, without its text. */
export const encodeToken = (token: authV1.ApiToken): z.infer<typeof apiToken> => ({
  id: token.id,
  name: token.name,
  scopes: token.scopes,
  createdAt: timeText(token.createdAtMs),
  ...(token.expiresAtMs === 0 ? {} : { expiresAt: timeText(token.expiresAtMs) }),
});

const tag = 'auth';

/** Accounts, logins, tickets and API tokens. `isOpen` says whether anybody may make an account now. */
export const authRoutes = ({ auth }: Clients, isOpen: () => boolean): Route[] => [
  route({
    method: 'post',
    path: '/v1/auth/register',
    repeat: 'key',
    tag,
    summary: 'Makes an account and signs in',
    access: 'public',
    body: register,
    status: 201,
    response: signedIn,
    limit: (limits, { address }) => limits.register(address),
    handle: async ({ body, address, ctx }) => {
      if (!isOpen()) throw new AppError('forbidden', 'Nobody can make an account here at the moment');
      return encodeSignedIn(
        await auth.register(
          {
            email: body.email,
            password: body.password,
            displayName: body.displayName ?? '',
            device: encodeDevice(body.device),
            remoteAddress: address,
          },
          ctx,
        ),
      );
    },
  }),
  route({
    method: 'post',
    path: '/v1/auth/login',
    repeat: 'counts',
    tag,
    summary: 'Signs in',
    access: 'public',
    body: login,
    status: 200,
    response: signedIn,
    limit: (limits, { address, body }) => limits.login(address, body.email),
    handle: async ({ body, address, ctx }) =>
      encodeSignedIn(
        await auth.login(
          {
            email: body.email,
            password: body.password,
            device: encodeDevice(body.device),
            remoteAddress: address,
          },
          ctx,
        ),
      ),
  }),
  route({
    method: 'post',
    path: '/v1/auth/refresh',
    repeat: 'key',
    tag,
    summary: 'Trades a refresh token for a new pair',
    access: 'public',
    body: refresh,
    status: 200,
    response: signedIn,
    handle: async ({ body, idempotencyKey, ctx }) =>
      encodeSignedIn(await auth.refresh({ refreshToken: body.refreshToken, idempotencyKey }, ctx)),
  }),
  route({
    method: 'post',
    path: '/v1/auth/logout',
    repeat: 'harmless',
    tag,
    summary: 'Ends this login, or all of them, or all of them and all API tokens',
    access: 'login',
    body: logout,
    status: 204,
    handle: async ({ body, ctx }) => {
      await auth.logout({ everywhere: body?.everywhere ?? false, tokens: body?.tokens ?? false }, ctx);
    },
  }),
  route({
    method: 'post',
    path: '/v1/auth/tickets',
    repeat: 'counts',
    tag,
    summary: 'A single-use ticket for one socket or stream',
    access: 'session',
    status: 201,
    response: ticket,
    handle: async ({ ctx }) => {
      const made = await auth.createTicket({}, ctx);
      return { ticket: made.ticket, expiresIn: made.expiresInS };
    },
  }),
  route({
    method: 'post',
    path: '/v1/auth/tokens',
    repeat: 'key',
    tag,
    summary: 'Makes an API token; its text is shown once',
    access: 'login',
    body: newApiToken,
    status: 201,
    response: createdApiToken,
    handle: async ({ body, ctx }) => {
      const expiresAtMs = body.expiresAt === undefined ? 0 : Date.parse(body.expiresAt);
      const made = await auth.createApiToken({ name: body.name, scopes: body.scopes, expiresAtMs }, ctx);
      return { ...encodeToken(must(made.apiToken, 'auth answers with the token')), token: made.token };
    },
  }),
  route({
    method: 'get',
    path: '/v1/auth/tokens',
    tag,
    summary: 'The person’s API tokens',
    access: 'login',
    query: page,
    status: 200,
    response: listOf(apiToken),
    handle: async ({ query, ctx }) =>
      listAnswer(await auth.listApiTokens(pageRequest(query), ctx), encodeToken),
  }),
  route({
    method: 'delete',
    path: '/v1/auth/tokens/{id}',
    repeat: 'harmless',
    tag,
    summary: 'Revokes an API token',
    access: 'login',
    params: z.object({ id }),
    status: 204,
    handle: async ({ params, ctx }) => {
      await auth.revokeApiToken({ id: params.id }, ctx);
    },
  }),
];
