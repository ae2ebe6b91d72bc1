import { authV1 } from '@skein/contracts';
import { type Handlers, type Implementation, implement } from '@skein/rpc';
import type { AuthApp } from '../app/auth-app.ts';
import {
  fromAttempt,
  loginOf,
  optional,
  principalOf,
  toAccount,
  toApiToken,
  toLoginSession,
  toPrincipal,
  toRevocation,
  toSignedIn,
} from './messages.ts';

const handlersOf = (app: AuthApp): Handlers<typeof authV1.AuthServiceService> => ({
  register: async ({ displayName, ...attempt }, ctx) =>
    toSignedIn(await app.register({ ...fromAttempt(attempt), displayName }, ctx)),
  login: async (attempt, ctx) => toSignedIn(await app.login(fromAttempt(attempt), ctx)),
  refresh: async ({ refreshToken, idempotencyKey }, { signal, correlationId, ...ctx }) =>
    toSignedIn(
      await app.refresh(refreshToken, {
        signal,
        correlationId,
        idempotencyKey: optional(idempotencyKey) ?? ctx.idempotencyKey,
      }),
    ),
  logout: async ({ everywhere, tokens = false }, ctx) => {
    await app.logout(loginOf(ctx), { everywhere, tokens }, ctx);
    return {};
  },
  getJwks: async () => ({ jwksJson: await app.jwks() }),
  createTicket: async (_, ctx) => app.createTicket(principalOf(ctx)),
  redeemTicket: async ({ ticket }, ctx) => ({ principal: toPrincipal(await app.redeemTicket(ticket, ctx)) }),
  createApiToken: async ({ name, scopes, expiresAtMs }, ctx) => {
    const input = { name, scopes, expiresAtMs: expiresAtMs || undefined };
    const { token, text } = await app.createApiToken(loginOf(ctx), input, ctx);
    return { apiToken: toApiToken(token), token: text };
  },
  listApiTokens: async ({ limit, cursor }, ctx) => {
    const { items, next } = await app.listApiTokens(loginOf(ctx), { limit, cursor: optional(cursor) });
    return { items: items.map(toApiToken), next: next ?? '' };
  },
  revokeApiToken: async ({ id }, ctx) => {
    await app.revokeApiToken(loginOf(ctx), id, ctx);
    return {};
  },
  listSessions: async (_, ctx) => ({ items: (await app.listSessions(loginOf(ctx))).map(toLoginSession) }),
  revokeDevice: async (device, ctx) => {
    await app.revokeDevice(loginOf(ctx), device, ctx);
    return {};
  },
  getAccount: async ({ userId }) => ({ account: toAccount(await app.getAccount(userId)) }),
  confirmPerson: async ({ password }, ctx) => {
    await app.confirmPerson(loginOf(ctx), password, ctx);
    return {};
  },
  closeAccount: async ({ userId }, ctx) => app.closeAccount(userId, ctx),
  checkSessions: async ({ sessionIds, tokenIds }) => {
    const revoked = await app.checkSessions(sessionIds, tokenIds);
    return { revokedSessionIds: revoked.sessionIds, revokedTokenIds: revoked.tokenIds };
  },
  watchRevocations: async function* (_, { signal }) {
    for await (const revocation of app.watchRevocations(signal)) yield toRevocation(revocation);
  },
});

/** People come through the gateway; addresses and names are for the service that keeps profiles. */
const gatewayOnly = ['gateway'];
const allow = {
  register: gatewayOnly,
  login: gatewayOnly,
  refresh: gatewayOnly,
  logout: gatewayOnly,
  createTicket: gatewayOnly,
  redeemTicket: gatewayOnly,
  createApiToken: gatewayOnly,
  listApiTokens: gatewayOnly,
  revokeApiToken: gatewayOnly,
  listSessions: gatewayOnly,
  revokeDevice: gatewayOnly,
  getJwks: gatewayOnly,
  checkSessions: gatewayOnly,
  watchRevocations: gatewayOnly,
  getAccount: ['session-sync', 'user'],
  confirmPerson: ['user'],
  closeAccount: ['user'],
};

/** `skein.auth.v1.AuthService`: decode, one use case, encode. */
export const authService = (app: AuthApp): Implementation =>
  implement(authV1.AuthServiceService, handlersOf(app), { allow });
