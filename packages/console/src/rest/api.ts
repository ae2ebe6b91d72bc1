import { fields, list, readMessagePage, type SessionRest, str } from '@skein/sync-client';
import { type Conflict, readConflict } from './conflict.ts';
import { type Call, type Fetch, send } from './http.ts';
import { Problem } from './problem.ts';
import { readUser, type Tokens, type User } from './tokens.ts';

/** A way the assistant can be. */
export interface Persona {
  readonly id: string;
  readonly name: string;
  readonly description: string;
}

/** A conversation, and the device on which somebody does something to it. */
export interface Place {
  readonly space: string;
  readonly conversation: string;
  readonly device: string;
}

/** The REST calls of the page. All reject with `Problem`, or `SignInNeeded` when no token is to be had. */
export interface Api extends SessionRest {
  me(): Promise<User>;
  personas(): Promise<readonly Persona[]>;
  /** A conversation that goes on from a message of this one; gives its id. The same `key` makes it once. */
  fork(at: Place, messageId: string, title: string, key: string): Promise<string>;
  rename(at: Place, title: string): Promise<void>;
  /** The newest conflicts of a space. */
  conflicts(space: string): Promise<readonly Conflict[]>;
  /** Settles an open conflict; `version` is that of the document as the person sees it. */
  resolve(
    space: string,
    conflict: string,
    choice: 'server' | 'client',
    version: number,
    device: string,
  ): Promise<void>;
  /** Brings back what lost a settled conflict. */
  undo(space: string, conflict: string, device: string): Promise<void>;
}

/** Messages asked for at once: more than a screen, less than a noticeable wait. */
const pageSize = 50;
/** Conflicts shown; older ones have been looked at long ago. */
const conflictsShown = 50;

/** The calls, each with the person's access token; a token refused once is renewed and the call tried again. */
export function createApi(fetch: Fetch, tokens: Pick<Tokens, 'access'>): Api {
  const call = async (request: Call): Promise<unknown> => {
    const { token } = await tokens.access({ fresh: false });
    try {
      return await send(fetch, { ...request, token });
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401) throw error;
      const renewed = await tokens.access({ fresh: true });
      return send(fetch, { ...request, token: renewed.token });
    }
  };
  const part = encodeURIComponent;
  return {
    me: async () => {
      const body = fields(await call({ method: 'GET', path: '/v1/me' }));
      return readUser(body['user'] ?? body);
    },
    personas: async () => {
      const body = fields(await call({ method: 'GET', path: '/v1/personas' }));
      return list(body['items']).map((raw) => {
        const item = fields(raw);
        return {
          id: str(item['id']),
          name: str(item['name']) || str(item['id']),
          description: str(item['description']),
        };
      });
    },
    fork: async ({ space, conversation, device }, messageId, title, idempotencyKey) => {
      const path = `/v1/spaces/${part(space)}/conversations/${part(conversation)}/fork`;
      const body = { messageId, title, device: { id: device, platform: 'web' } };
      return str(fields(await call({ method: 'POST', path, body, idempotencyKey }))['id']);
    },
    rename: async ({ space, conversation, device }, title) => {
      const path = `/v1/spaces/${part(space)}/conversations/${part(conversation)}`;
      await call({ method: 'PATCH', path, body: { title, device: { id: device, platform: 'web' } } });
    },
    conflicts: async (space) => {
      const path = `/v1/spaces/${part(space)}/conflicts?limit=${conflictsShown}`;
      return list(fields(await call({ method: 'GET', path }))['items']).map(readConflict);
    },
    resolve: async (space, conflict, choice, version, device) => {
      const path = `/v1/spaces/${part(space)}/conflicts/${part(conflict)}/resolve`;
      await call({ method: 'POST', path, body: { choice, version, device } });
    },
    undo: async (space, conflict, device) => {
      const path = `/v1/spaces/${part(space)}/conflicts/${part(conflict)}/undo`;
      await call({ method: 'POST', path, body: { device } });
    },
    turn: async (turnId) => {
      const body = fields(await call({ method: 'GET', path: `/v1/turns/${part(turnId)}` }));
      return { id: turnId, state: str(body['state']), text: str(body['text']) };
    },
    messages: async (space, conversationId, cursor) => {
      const query = new URLSearchParams({
        limit: String(pageSize),
        ...(cursor === undefined ? {} : { cursor }),
      });
      const path = `/v1/spaces/${part(space)}/conversations/${part(conversationId)}/messages?${query}`;
      return readMessagePage(await call({ method: 'GET', path }));
    },
    createConversation: async (space, title, key) => {
      const path = `/v1/spaces/${part(space)}/conversations`;
      const body = fields(await call({ method: 'POST', path, body: { title }, idempotencyKey: key }));
      return str(body['id']) || str(fields(body['conversation'])['id']) || str(body['conversationId']);
    },
  };
}
