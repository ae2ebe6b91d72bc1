import type { IncomingMessage, Server } from 'node:http';
import type {
  agentV1,
  authV1,
  configV1,
  eventsV1,
  healthRecordV1,
  identityV1,
  sagaV1,
  syncV1,
  userV1,
} from '@skein/contracts';
import type { RpcClient } from '@skein/rpc';
import type { Service } from '@skein/service-kit';
import type { RequestHandler } from 'express';

/**
 * What the two sides of the gateway agree on. The HTTP side (`http`, `auth`, `limits`) gives `Clients`,
 * `TokenVerifier` and `Limits`; the socket side (`live`, `ws`, `stream`) gives `LiveSide`.
 */

/** Whom a verified token speaks for. */
export interface Principal {
  readonly userId: string;
  /** The login session (`sid`); absent for API tokens. */
  readonly sessionId?: string;
  /** The API token's id (`jti`); absent for logins. */
  readonly tokenId?: string;
  readonly scopes: readonly string[];
  /** When the token itself ends, epoch milliseconds. */
  readonly expiresAtMs: number;
  /** When the login was made (or the API token), epoch milliseconds; revocations of a whole person name a moment. */
  readonly issuedAtMs: number;
  readonly kind: 'login' | 'api';
}

/** Verifies tokens in process, by the keys auth publishes. */
export interface TokenVerifier {
  /**
   * The principal of an access token or API token. Rejects with AppError `unauthenticated` (not ours, forged,
   * malformed), `token_expired`, `session_revoked`, or `unavailable` when the keys were never loaded.
   */
  verify(token: string): Promise<Principal>;
  /** Whether the login or API token was ended since it was verified. */
  isRevoked(principal: Principal): boolean;
  /** Calls back for every revocation as it arrives; `match` says whom it concerns. Returns the unsubscribe. */
  onRevoked(listener: (match: (principal: Principal) => boolean) => void): () => void;
}

/** The services behind the gateway. */
export interface Clients {
  readonly auth: RpcClient<authV1.AuthServiceService>;
  readonly user: RpcClient<userV1.UserServiceService>;
  readonly sync: RpcClient<syncV1.SyncServiceService>;
  readonly agent: RpcClient<agentV1.AgentServiceService>;
}

/** What operators do about domain events, by the service whose they are. */
export type EventAdmins = Readonly<Record<string, RpcClient<eventsV1.EventAdminServiceService>>>;

/** The settings of the other services, by the service whose they are. */
export type ConfigAdmins = Readonly<Record<string, RpcClient<configV1.ConfigAdminServiceService>>>;

/** Recording health data, a service of session-sync. */
export type HealthRecords = RpcClient<healthRecordV1.HealthRecordServiceService>;

/** Accounts of people on other platforms, a service of user. */
export type Identities = RpcClient<identityV1.IdentityServiceService>;

/** The sagas of the services that run some, by the name of the service. */
export type SagaClients = Readonly<Record<string, RpcClient<sagaV1.SagaServiceService>>>;

/** Let through, or told when to come back. */
export type Verdict = { readonly ok: true } | { readonly ok: false; readonly retryAfterMs: number };

/** Every limit of the gateway: rates by GCRA, and connections that have not signed in yet. */
export interface Limits {
  /**
   * Messages and mutations of a person, over all sockets and REST. A batch counts as many; one larger than the
   * burst counts as a full burst, so that it can pass at all.
   */
  message(userId: string, count?: number): Verdict;
  /** One REST request of a signed-in person. */
  request(userId: string): Verdict;
  /** One request from an address that has not signed in. */
  anonymous(address: string): Verdict;
  /** One attempt to sign in, counted for the address and for the account. */
  login(address: string, account: string): Verdict;
  /** One attempt to make an account. */
  register(address: string): Verdict;
  /** Connections that have not signed in, bounded per address. */
  readonly unauthenticated: ConnectionGuard;
}

/** Bounds how many connections of one address wait without having signed in. */
export interface ConnectionGuard {
  /** Counts a connection (any object that stands for it, once however often it is asked). */
  admit(connection: object, address: string): Verdict;
  /** The connection has signed in or is closed: it no longer counts. Harmless for unknown ones. */
  settle(connection: object): void;
}

/** Address of the peer, seen through exactly as many trusted proxies as are configured. */
export type AddressOf = (request: IncomingMessage) => string;

/** What happens to a turn, seen from outside. */
export type TurnStep =
  /** The feed is gap-free from here on: what happened before must be read (GetTurn). Again after a break. */
  | { readonly kind: 'following' }
  /** `from` counts the Unicode code points before `text`. */
  | { readonly kind: 'token'; readonly messageId: string; readonly from: number; readonly text: string }
  | {
      readonly kind: 'end';
      readonly outcome: 'completed' | 'cancelled' | 'failed';
      readonly messageId: string;
      readonly conversationId: string;
      readonly text: string;
    };

/** What `src/live/index.ts` gives the HTTP side. */
export interface LiveSide {
  readonly service: Service;
  /** Takes `upgrade` for `/v1/connect` and `/ws/{user_id}`; other paths get 404. */
  attach(server: Server): void;
  /** GET /v1/stream (SSE). Does its own authentication: a bearer header or a ticket. */
  readonly stream: RequestHandler;
  /** GET /v1/poll. Does its own authentication: a bearer header or a ticket. */
  readonly poll: RequestHandler;
  /**
   * The steps of one turn from now on; ends after `end`, throws the signal's reason when aborted. The caller has
   * made sure that the person may read the space.
   */
  watchTurn(space: string, turnId: string, signal: AbortSignal): AsyncIterable<TurnStep>;
}
