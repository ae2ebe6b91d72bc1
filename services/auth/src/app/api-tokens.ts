import { AppError, type FieldError } from '@skein/contracts';
import type { Clock } from '@skein/service-kit';
import { forever } from '../domain/key-schedule.ts';
import { hasEnded } from '../domain/refresh-family.ts';
import { refusedScopes } from '../domain/scopes.ts';
import type { ApiToken, Call, LoginPrincipal, Principal, Store, TokenSigner } from './ports.ts';
import { audience } from './token-pair.ts';

/** More working tokens than this and a person has lost the overview. */
const maxApiTokens = 100;

const maxName = 100;
const maxPage = 100;

/** What an id of ours can look like; nothing else is asked of the database. */
const isId = (text: string): boolean => /^[\w-]{1,64}$/.test(text);

interface Deps {
  readonly store: Store;
  readonly signer: TokenSigner;
  readonly issuer: string;
  readonly clock: Clock;
  readonly newId: () => string;
  /** Tells watchers in this process that a token has ended. */
  readonly revoked: () => void;
}

export interface NewApiToken {
  readonly name: string;
  readonly scopes: readonly string[];
  /** Undefined: never. */
  readonly expiresAtMs: number | undefined;
}

const check = (by: Principal, { name, scopes, expiresAtMs }: NewApiToken, nowMs: number): void => {
  const errors: FieldError[] = [];
  if (name.trim() === '' || name.length > maxName || /\p{Cc}/u.test(name))
    errors.push({ path: 'name', message: `must have 1 to ${maxName} printable characters` });
  if (scopes.length === 0 || new Set(scopes).size !== scopes.length)
    errors.push({ path: 'scopes', message: 'must name at least one scope, each once' });
  if (expiresAtMs !== undefined && expiresAtMs <= nowMs)
    errors.push({ path: 'expiresAt', message: 'must be in the future' });
  if (errors.length > 0) throw new AppError('invalid_request', undefined, { errors });
  const refused = refusedScopes(by.scopes, scopes);
  if (refused.length > 0)
    throw new AppError('forbidden', `You may not grant: ${refused.slice(0, 10).join(', ')}`);
};

/**
 * Makes an API token. Its text is shown once and not stored; the same request (same idempotency key) gets the
 * same text again for a day, because a signature follows from what is signed.
 */
export const createApiToken =
  ({ store, signer, issuer, clock, newId }: Deps) =>
  async (by: LoginPrincipal, input: NewApiToken, call: Call): Promise<{ token: ApiToken; text: string }> => {
    const nowMs = clock.now();
    check(by, input, nowMs);
    const { userId, sessionId } = by;
    const token = await store.transaction(async (repositories) => {
      const { sessions, apiTokens, keys } = repositories;
      const method = 'CreateApiToken';
      const id = await repositories.once(
        { userId, method, key: call.idempotencyKey, body: input },
        async () => {
          // Locked, so that ending this login finds every token it has made.
          const login = await sessions.lock(sessionId);
          if (login?.userId !== userId || hasEnded(login, nowMs)) throw new AppError('session_revoked');
          const held = await apiTokens.list(userId, undefined, maxApiTokens, nowMs);
          if (held.length >= maxApiTokens)
            throw new AppError('invalid_request', `At most ${maxApiTokens} tokens; revoke one first`);
          const { kid } = signer;
          const made: ApiToken = {
            ...input,
            name: input.name.trim(),
            id: newId(),
            userId,
            createdAtMs: nowMs,
            kid,
            madeBy: sessionId,
          };
          await apiTokens.add(made);
          await keys.keepUntil(kid, made.expiresAtMs ?? forever);
          return made.id;
        },
      );
      return apiTokens.byId(id);
    }, call.signal);
    if (!token) throw new AppError('not_found', 'This token was removed meanwhile');

    const iat = Math.floor(token.createdAtMs / 1000);
    const claims = {
      iss: issuer,
      aud: audience,
      sub: userId,
      jti: token.id,
      scope: token.scopes.join(' '),
      iat,
      nbf: iat,
      ...(token.expiresAtMs === undefined ? {} : { exp: Math.floor(token.expiresAtMs / 1000) }),
    };
    return { token, text: await signer.sign('api+jwt', claims, token.kid) };
  };

// Named, so that a cursor of another list is not taken for an id.
const toCursor = (id: string): string => Buffer.from(`token.${id}`).toString('base64url');

const fromCursor = (cursor: string): string => {
  const id = /^token\.([\w-]{1,64})$/.exec(Buffer.from(cursor, 'base64url').toString())?.[1];
  if (id === undefined) throw new AppError('invalid_request', 'This cursor is not one of ours');
  return id;
};

/** The caller's API tokens that work, newest first; `invalid_request` for a cursor of another list. */
export const listApiTokens =
  ({ store, clock }: Deps) =>
  async (by: Principal, page: { limit: number; cursor: string | undefined }) => {
    const before = page.cursor === undefined ? undefined : fromCursor(page.cursor);
    const limit = Math.min(Math.max(page.limit || maxPage, 1), maxPage);
    const found = await store.apiTokens.list(by.userId, before, limit + 1, clock.now());
    const items = found.slice(0, limit);
    const last = items.at(-1);
    return { items, next: last && found.length > limit ? toCursor(last.id) : undefined };
  };

/** Ends an API token of the caller; `not_found` for any other. Ending it twice is fine. */
export const revokeApiToken =
  ({ store, clock, revoked }: Deps) =>
  async (by: Principal, id: string, call: Call): Promise<void> => {
    if (!isId(id)) throw new AppError('not_found', 'You have no such token');
    const nowMs = clock.now();
    const known = await store.transaction(async ({ apiTokens, revocations }) => {
      const fresh = await apiTokens.revoke(by.userId, id, nowMs);
      if (fresh) await revocations.append([{ tokenId: id }], nowMs);
      return fresh !== undefined;
    }, call.signal);
    if (!known) throw new AppError('not_found', 'You have no such token');
    revoked();
  };
