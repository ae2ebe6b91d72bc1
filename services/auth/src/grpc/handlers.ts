import { authV1 } from '@skein/contracts';
import { type Handlers, type Implementation, implement } from '@skein/rpc';
import type { AuthApp } from '../app/auth-app.ts';
import {
  fromAttempt,
  optional,
  principalOf,
  toAccount,
  toApiToken,
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
  logout: async ({ everywhere }, ctx) => {
    await app.logout(principalOf(ctx), everywhere, ctx);
    return {};
  },
  getJwks: async () => ({ jwksJson: await app.jwks() }),
  createTicket: async (_, ctx) => app.createTicket(principalOf(ctx)),
  redeemTicket: async ({ ticket }, ctx) => ({ principal: toPrincipal(await app.redeemTicket(ticket, ctx)) }),
  createApiToken: async ({ name, scopes, expiresAtMs }, ctx) => {
    const input = { name, scopes, expiresAtMs: expiresAtMs || undefined };
    const { token, text } = await app.createApiToken(principalOf(ctx), input, ctx);
    return { apiToken: toApiToken(token), token: text };
  },
  listApiTokens: async ({ limit, cursor }, ctx) => {
    const { items, next } = await app.listApiTokens(principalOf(ctx), { limit, cursor: optional(cursor) });
    return { items: items.map(toApiToken), next: next ?? '' };
  },
  revokeApiToken: async ({ id }, ctx) => {
    await app.revokeApiToken(principalOf(ctx), id, ctx);
    return {};
  },
  revokeDevice: async ({ deviceId }, ctx) => {
    await app.revokeDevice(principalOf(ctx), deviceId, ctx);
    return {};
  },
  getAccount: async ({ userId }) => ({ account: toAccount(await app.getAccount(userId)) }),
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
  revokeDevice: gatewayOnly,
  getJwks: gatewayOnly,
  checkSessions: gatewayOnly,
  watchRevocations: gatewayOnly,
  getAccount: ['user'],
};
  listSessions: gatewayOnly,

/** `skein.auth.v1.AuthService`: decode, one use case, encode. */
export const authService = (app: AuthApp): Implementation =>
  implement(authV1.AuthServiceService, handlersOf(app), { allow });
