import type { DomainEventData } from '@skein/contracts';
import type { KeyTimes } from '../domain/key-schedule.ts';
import type { Device } from '../domain/login-place.ts';
import type { EndReason, Family, Presented } from '../domain/refresh-family.ts';

/** What a use case needs to know of the call it serves. `CallContext` of the rpc package is one. */
export interface Call {
  readonly signal: AbortSignal;
  readonly correlationId: string;
  readonly idempotencyKey?: string | undefined;
}

/** On whose behalf a call comes: a login, or an API token. */
export interface Principal {
  readonly userId: string;
  readonly sessionId?: string | undefined;
  readonly tokenId?: string | undefined;
  readonly scopes: readonly string[];
}

/** A person who has signed in: what an API token may not do is asked of these only. */
export interface LoginPrincipal extends Principal {
  readonly sessionId: string;
}

export interface Account {
  readonly id: string;
  readonly email: string;
  readonly displayName: string;
  readonly createdAtMs: number;
}

export interface Credentials extends Account {
  readonly passwordHash: string;
  /** Fingerprint of the idempotency key of the registration; undefined when it had none. */
  readonly registrationKey: string | undefined;
}

/** Accounts that are not closed; only their addresses stay taken. */
export interface Accounts {
  /** False when the address is taken; the transaction goes on. */
  add(account: Credentials): Promise<boolean>;
  byEmail(email: string): Promise<Credentials | undefined>;
  byId(id: string): Promise<Account | undefined>;
  /** Closes an account for good and returns its address; undefined when there is none. */
  close(id: string, nowMs: number): Promise<string | undefined>;
  /** Puts a new hash of the same password in the place of the account's, unless that has been changed meanwhile. */
  replaceHash(account: Pick<Credentials, 'id' | 'passwordHash'>, passwordHash: string): Promise<void>;
}

/** A login, and with it the family of its refresh tokens. */
export interface Session extends Family {
  readonly id: string;
  readonly userId: string;
  readonly device: Device;
  readonly createdAtMs: number;
}

/** A login as its person sees it. */
export interface OpenLogin {
  readonly id: string;
  readonly device: Device;
  readonly createdAtMs: number;
  /** When its tokens were last renewed. */
  readonly lastUsedAtMs: number;
}

/** Which logins of a person to end. */
export type SessionFilter =
  | { readonly userId: string; readonly sessionId: string }
  | { readonly userId: string; readonly deviceId: string; readonly sessionIds: readonly string[] }
  /** All but the `keep` used last. */
  | { readonly userId: string; readonly keep: number };

export interface Sessions {
  /** `invalid_credentials` when the account was closed meanwhile. */
  add(session: Session, remoteAddress: string): Promise<void>;
  /** The login, locked until the transaction ends. */
  lock(id: string): Promise<Session | undefined>;
  used(id: string, nowMs: number, idleExpiresAtMs: number): Promise<void>;
  /** Ends logins and returns the ids of those that were not ended before. */
  end(which: SessionFilter, reason: EndReason, nowMs: number): Promise<string[]>;
  /** The person's logins that work, last used first. */
  list(userId: string, limit: number, nowMs: number): Promise<OpenLogin[]>;
  /** Those of the ids that are neither ended nor expired. */
  live(ids: readonly string[], nowMs: number): Promise<string[]>;
}

/** A refresh token as it is remembered. Its text is known to the client alone. */
export interface RefreshTokenRow extends Presented {
  readonly sessionId: string;
  /** The key that signed the access token of its child, so that a repeat signs the same. */
  readonly childKid: string | undefined;
}

export interface RefreshTokens {
  add(hash: Buffer, sessionId: string): Promise<void>;
  find(hash: Buffer): Promise<RefreshTokenRow | undefined>;
  use(hash: Buffer, use: { usedAtMs: number; usedKey: string | undefined; childKid: string }): Promise<void>;
}

export interface Places {
  /**
   * Remembers a place of login, and forgets the oldest of too many; tells whether it, or any other one, was known
   * before.
   */
  see(userId: string, place: string, nowMs: number): Promise<{ thisPlace: boolean; otherPlaces: boolean }>;
}

export interface Ticket extends Principal {
  readonly expiresAtMs: number;
}

export interface Tickets {
  add(hash: Buffer, ticket: Ticket): Promise<void>;
  /** Removes and returns it: of two who ask at once one gets it. */
  take(hash: Buffer): Promise<Ticket | undefined>;
}

export interface ApiToken {
  readonly id: string;
  readonly userId: string;
  readonly name: string;
  readonly scopes: readonly string[];
  readonly createdAtMs: number;
  /** Undefined: never. */
  readonly expiresAtMs: number | undefined;
  /** The key that signed it. */
  readonly kid: string;
  /** The login it was made by; undefined for one made before that was kept. */
  readonly madeBy: string | undefined;
}

/** Which API tokens of a person to end: named ones, those one login has made, or all. */
export type ApiTokenFilter =
  | { readonly userId: string; readonly ids: readonly string[] }
  | { readonly userId: string; readonly madeBy: string }
  | { readonly userId: string; readonly all: true };

export interface ApiTokens {
  add(token: ApiToken): Promise<void>;
  /** Tokens that work, newest first; `before` is the id of the last one already seen. */
  list(userId: string, before: string | undefined, limit: number, nowMs: number): Promise<ApiToken[]>;
  byId(id: string): Promise<ApiToken | undefined>;
  /** Undefined when this person has no such token; false when it was revoked before. */
  revoke(userId: string, id: string, nowMs: number): Promise<boolean | undefined>;
  /** Ends tokens and returns the ids of those that were not ended before. */
  end(which: ApiTokenFilter, nowMs: number): Promise<string[]>;
  live(ids: readonly string[], nowMs: number): Promise<ApiToken[]>;
}

/** Something that worked and no longer does. */
export type Revocation = { readonly sessionId: string } | { readonly tokenId: string };

export interface Revocations {
  /** Part of the transaction that ends the login or the token. */
  append(revocations: readonly Revocation[], nowMs: number): Promise<void>;
  /** Those after a position and not older than `sinceMs`, in the order they were committed. */
  after(
    position: number,
    sinceMs: number,
    limit: number,
  ): Promise<{ position: number; revocation: Revocation }[]>;
}

/** A fact for other services. */
export type Fact =
  | { readonly type: 'user.registered'; readonly data: DomainEventData<'user.registered'> }
  | { readonly type: 'user.login'; readonly data: DomainEventData<'user.login'> };

export interface Outbox {
  /** Stores facts with the transaction; a relay publishes them once it has committed. */
  append(facts: readonly Fact[], atMs: number, call: Pick<Call, 'correlationId'>): Promise<void>;
}

export interface Registrations {
  /** Begins the saga register-user of an account if the transaction commits. */
  begin(userId: string, registeredAtMs: number, call: Call): Promise<void>;
}

/** A signing key as it is stored. */
export interface StoredKey extends KeyTimes {
  readonly kid: string;
  /** The public half as a JSON Web Key. */
  readonly publicJwk: Readonly<Record<string, unknown>>;
  /** The private half, sealed by the master key. */
  readonly sealedPrivate: Buffer;
}

export interface Keys {
  all(): Promise<StoredKey[]>;
  /** Adds what `make` finds missing, with every other process locked out meanwhile. */
  complete(make: (stored: readonly StoredKey[]) => readonly StoredKey[]): Promise<StoredKey[]>;
  /** Keeps a key published at least until then. */
  keepUntil(kid: string, untilMs: number): Promise<void>;
}

/** What is stored, as it is used inside one transaction. */
export interface Repositories {
  readonly accounts: Accounts;
  readonly sessions: Sessions;
  readonly refreshTokens: RefreshTokens;
  readonly places: Places;
  readonly tickets: Tickets;
  readonly apiTokens: ApiTokens;
  readonly revocations: Revocations;
  readonly keys: Keys;
  readonly outbox: Outbox;
  readonly registrations: Registrations;
  /** The remembered result of an idempotent request, or the one `work` gives now. */
  once<T>(
    request: { userId: string; method: string; key: string | undefined; body: unknown },
    work: () => Promise<T>,
  ): Promise<T>;
}

/** The repositories, each call on its own, or several in a transaction that commits when `work` returns. */
export interface Store extends Repositories {
  transaction<T>(work: (repositories: Repositories) => Promise<T>, signal?: AbortSignal): Promise<T>;
}

/** Password hashing, slow on purpose. Rejects with `overloaded` when too many wait for it. */
export interface PasswordHasher {
  hash(password: string, signal?: AbortSignal): Promise<string>;
  verify(hash: string, password: string, signal?: AbortSignal): Promise<boolean>;
  /** Whether a hash was made with weaker settings than those of today. */
  outdated(hash: string): boolean;
}

/** Counts attempts, shared by all replicas. */
export interface Limiter {
  /** Undefined when the attempt is within the limit, else the milliseconds after which the next one is. */
  take(key: string): Promise<number | undefined>;
}

/** Everything made from randomness or from the master key. */
export interface Secrets {
  /** A new 256-bit token. */
  newToken(): string;
  /** What is stored of a token: its SHA-256. */
  hash(token: string): Buffer;
  /** The refresh token that follows `parent`: the same for the same idempotency key, unguessable without both. */
  child(parent: string, idempotencyKey: string): string;
  /** What is stored of an idempotency key. */
  fingerprint(idempotencyKey: string): string;
  /** The `jti` of the access token that goes with a refresh token. */
  accessTokenId(refreshToken: string): string;
}

/** Signs claims with one of the published keys. */
export interface TokenSigner {
  /** The key that signs now. */
  readonly kid: string;
  /** `typ` is the JOSE header; `kid` chooses a key, if it still can sign. */
  sign(typ: 'at+jwt' | 'api+jwt', claims: Readonly<Record<string, unknown>>, kid?: string): Promise<string>;
}

/** Removing what is kept of people. */
export interface Erasures {
  /** The account with all its logins and tokens, and what was published about it. Again changes nothing. */
  erasePerson(userId: string): Promise<void>;
}
