import type { Service } from '@skein/service-kit';

/** How the embedded server runs. */
export interface EmbeddedPostgresOptions {
  /** Directory of the database; made on first use. One server at a time. */
  readonly dataDir: string;
  /** Server settings over the built-in small ones, such as `{shared_buffers: '64MB'}`. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  /** Most connections over all services. Default 40. */
  readonly maxConnections?: number;
  /** Also listen on this port of 127.0.0.1, with a generated password (`tcpUrl`). Default: unix socket only. */
  readonly port?: number;
  /** Name of the database the URL points to; made if it is missing. Default `skein`. */
  readonly database?: string;
}

/** Why a server is gone. */
export interface EmbeddedExit {
  /** False when nobody called `stop`. */
  readonly expected: boolean;
}

/** A real Postgres server that belongs to this product. */
export interface EmbeddedPostgres extends Service {
  /** Where it is: a `postgres:` URL over the unix socket, without a secret. Known before `run`. */
  readonly url: string;
  /** The URL over TCP with its password, once it runs with `port`. */
  readonly tcpUrl: string | undefined;
  /** Process id of the postmaster while it lives. */
  readonly pid: number | undefined;
  /** Whether the postmaster lives. */
  isAlive(): boolean;
  /** Calls back when the postmaster has ended, wanted or not; `run` may then be called again. Returns the way to unsubscribe. */
  onExit(listener: (exit: EmbeddedExit) => void): () => void;
}

/** The server of one data directory. */
export const embeddedPostgres = (options: EmbeddedPostgresOptions): EmbeddedPostgres => {
  throw new Error(`not written yet: ${options.dataDir}`);
};
