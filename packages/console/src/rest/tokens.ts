import {
  type Access,
  type Clock,
  type Device,
  fields,
  type KeyValue,
  num,
  SignInNeeded,
  str,
} from '@skein/sync-client';
import { type Fetch, send } from './http.ts';
import { Problem } from './problem.ts';

/** The person who is signed in. */
export interface User {
  readonly id: string;
  readonly email: string;
  readonly displayName: string;
}

/** Runs one of these at a time over all tabs, where the browser can (`navigator.locks`). */
export type Exclusive = <T>(run: () => Promise<T>) => Promise<T>;

/** Who is signed in here, and their tokens. */
export interface Tokens {
  /** Whose login this page goes on with: the kept one when it was opened, then whoever signs in on it. */
  readonly user: string | undefined;
  register(email: string, password: string, displayName: string): Promise<User>;
  login(email: string, password: string): Promise<User>;
  /** Gives up this login on the server (or all of the person's with `everywhere`) and forgets it here. */
  logout(everywhere: boolean): Promise<void>;
  /**
   * An access token of `user`, good for some time yet. Rejects with `SignInNeeded`, also when another person has signed
   * in in another tab, or `Problem` when trying later may help.
   */
  access(options: { readonly fresh: boolean }): Promise<Access>;
}

const storageKey = 'skein.login';
/** Tokens closer to their end than this are renewed before use. */
const marginMs = 30_000;

interface Kept {
  readonly userId: string;
  readonly refreshToken: string;
  /** The idempotency key its one refresh is sent with, so that a lost answer can be asked for again. */
  readonly refreshKey: string;
}

/**
 * The access token lives in memory only: it opens everything for minutes and must not outlive the page. The
 * refresh token lives in localStorage so that a reload and other tabs stay signed in. A script injected into the
 * page could read it, which is why the page runs none but its own (Content-Security-Policy) and never makes HTML
 * of text; and because each refresh replaces it and any second use ends the whole login, a stolen copy is noticed.
 */
export function createTokens(deps: {
  readonly fetch: Fetch;
  readonly storage: KeyValue;
  readonly clock: Clock;
  readonly newId: () => string;
  readonly exclusive: Exclusive;
  /** Where the person signs in: the device this page opens its session as. */
  readonly device: () => Promise<Device>;
}): Tokens {
  let held: Access | undefined;
  let refreshing: Promise<Access> | undefined;
  /** All tabs share the kept login; this tab's person does not change because another one signs in elsewhere. */
  let user: string | undefined;

  const read = (): Kept | undefined => {
    try {
      const kept = fields(JSON.parse(deps.storage.getItem(storageKey) ?? 'null'));
      const [refreshToken, userId] = [str(kept['refreshToken']), str(kept['userId'])];
      if (refreshToken === '' || userId === '') return undefined;
      return { userId, refreshToken, refreshKey: str(kept['refreshKey']) };
    } catch {
      return undefined; // Not ours: as good as signed out.
    }
  };
  user = read()?.userId;
  /** The kept login, if it is this tab's person's. */
  const mine = (): Kept | undefined => {
    const kept = read();
    return kept?.userId === user ? kept : undefined;
  };
  const forget = (): void => {
    held = undefined;
    if (mine() !== undefined) deps.storage.removeItem(storageKey);
  };
  const adopt = (userId: string, raw: unknown): Access => {
    const body = fields(raw);
    const kept: Kept = { userId, refreshToken: str(body['refreshToken']), refreshKey: deps.newId() };
    deps.storage.setItem(storageKey, JSON.stringify(kept));
    held = {
      token: str(body['accessToken']),
      expiresAtMs: deps.clock.now() + num(body['expiresIn']) * 1_000,
    };
    return held;
  };
  const enter = async (path: string, body: Record<string, unknown>): Promise<User> => {
    // Named, so that the login is listed as this device, ends with it, and is unusual only where it is.
    const named = { ...body, device: await deps.device() };
    const answer = await send(deps.fetch, {
      method: 'POST',
      path,
      body: named,
      idempotencyKey: deps.newId(),
    });
    const who = readUser(fields(answer)['user']);
    user = who.id;
    adopt(who.id, answer);
    return who;
  };

  const refresh = (): Promise<Access> =>
    deps.exclusive(async () => {
      // Read inside the lock: another tab may have replaced it while we waited.
      const kept = mine();
      if (kept === undefined) throw new SignInNeeded();
      let answer: unknown;
      try {
        answer = await send(deps.fetch, {
          method: 'POST',
          path: '/v1/auth/refresh',
          body: { refreshToken: kept.refreshToken },
          idempotencyKey: kept.refreshKey,
        });
      } catch (error) {
        if (!(error instanceof Problem) || (error.status !== 401 && error.status !== 403)) throw error;
        forget();
        throw new SignInNeeded();
      }
      // Signed out meanwhile, or somebody else signed in: their login stays as it is.
      if (mine() === undefined) throw new SignInNeeded();
      return adopt(kept.userId, answer);
    });

  return {
    get user() {
      return user;
    },
    register: (email, password, displayName) =>
      enter('/v1/auth/register', { email, password, ...(displayName === '' ? {} : { displayName }) }),
    login: (email, password) => enter('/v1/auth/login', { email, password }),
    logout: async (everywhere) => {
      const token = held?.token;
      forget();
      user = undefined;
      if (token === undefined) return;
      await send(deps.fetch, { method: 'POST', path: '/v1/auth/logout', body: { everywhere }, token });
    },
    access: ({ fresh }) => {
      if (!fresh && held !== undefined && held.expiresAtMs - marginMs > deps.clock.now())
        return Promise.resolve(held);
      refreshing ??= refresh().finally(() => {
        refreshing = undefined;
      });
      return refreshing;
    },
  };
}

/** A person as `/v1/me` and the answers of sign-up and sign-in give them. */
export function readUser(raw: unknown): User {
  const f = fields(raw);
  const email = str(f['email']);
  return { id: str(f['id']), email, displayName: str(f['displayName']) || email };
}
