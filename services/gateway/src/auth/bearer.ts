import type { IncomingMessage } from 'node:http';
import { AppError } from '@skein/contracts';
import type { Actor } from '@skein/rpc';
import type { Access } from '../http/route.ts';
import type { Principal } from '../ports.ts';

/** The token of `Authorization: Bearer`; undefined without the header, `unauthenticated` for other schemes. */
export const bearerToken = (request: IncomingMessage): string | undefined => {
  const { authorization } = request.headers;
  if (authorization === undefined) return undefined;
  const match = /^Bearer +([^\s]+)$/i.exec(authorization);
  if (!match?.[1]) throw new AppError('unauthenticated', 'Send Authorization: Bearer <token>');
  return match[1];
};

/** Refuses a principal that may not make the call: `unauthenticated` for nobody, `forbidden` for the wrong one. */
export const authorize = (access: Access, principal: Principal | undefined): void => {
  if (access === 'public' || access === 'optional') return;
  if (!principal) throw new AppError('unauthenticated');
  if (access === 'login') {
    if (principal.kind !== 'login') throw new AppError('forbidden', 'An API token cannot do this; sign in');
  } else if (!principal.scopes.includes(access)) {
    throw new AppError('forbidden', `The token lacks the scope ${access}`);
  }
};

/** The person as every call behind carries them. */
export const actorOf = (principal: Principal): Actor => ({
  userId: principal.userId,
  ...(principal.sessionId === undefined ? {} : { sessionId: principal.sessionId }),
  ...(principal.tokenId === undefined ? {} : { tokenId: principal.tokenId }),
  scopes: principal.scopes,
});
