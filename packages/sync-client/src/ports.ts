/** Time, as an argument, so that tests own it. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number;
  /** Calls `run` once after `ms`; the returned function cancels that. */
  after(ms: number, run: () => void): () => void;
}

/** One installation of the page, as it introduces itself. */
export interface Device {
  readonly id: string;
  readonly platform: string;
  readonly name?: string;
}

/** A socket to `/v1/connect`, already connecting. `closed` comes exactly once, whoever closed it. */
export interface Socket {
  send(text: string): void;
  close(): void;
}

/** What a socket tells its owner. */
export interface SocketEvents {
  opened(): void;
  message(text: string): void;
  closed(code: number, reason: string): void;
}

/** Opens a socket. Must not call back before it has returned. */
export type OpenSocket = (events: SocketEvents) => Socket;

/** An access token and when it ends, epoch milliseconds. */
export interface Access {
  readonly token: string;
  readonly expiresAtMs: number;
}

/**
 * Gives an access token; `fresh` refuses one that is already held. Rejects with `SignInNeeded` when only a person
 * can help, with anything else when trying again later may.
 */
export type GetAccess = (options: { readonly fresh: boolean }) => Promise<Access>;

/** No token is to be had without the person. */
export class SignInNeeded extends Error {
  override readonly name = 'SignInNeeded';
}

/** Text by key, kept by the browser. Writing may fail (full, forbidden) and then throws. */
export type KeyValue = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;
