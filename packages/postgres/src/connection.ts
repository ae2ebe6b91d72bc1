import type pg from 'pg';
import { typeParsers } from './types.ts';

/** What every connection of a service needs. */
export interface ConnectionOptions {
  readonly url: string;
  readonly schema: string;
  readonly applicationName: string;
  readonly statementTimeoutMs: number;
  readonly transactionTimeoutMs: number;
}

/**
 * How much later than the server's own bound an answer may come. After it the connection is cut: over a network that
 * swallows everything, neither the server's word nor a reset would ever arrive.
 */
const answerMarginMs = 3_000;
/** A connection that is idle finds out within about 20 s that the other end is gone, before it is used again. */
const keepAliveDelayMs = 10_000;

/** A schema name that needs no quoting, so that it can stand in SQL text and in connection options. */
export const isPlainName = (name: string): boolean => /^[a-z_][a-z0-9_]{0,62}$/.test(name);

/**
 * The driver's settings. The search path and the timeouts travel in the start-up packet, so a connection never
 * serves a statement without them and none costs a round trip. `options` of the URL are kept, ours come first.
 */
export const connectionConfig = (options: ConnectionOptions): pg.ClientConfig => {
  const [base = '', query = ''] = options.url.split('?', 2);
  const search = new URLSearchParams(query);
  const given = search.get('options') ?? '';
  search.delete('options');
  const settings = {
    search_path: options.schema,
    statement_timeout: options.statementTimeoutMs,
    transaction_timeout: options.transactionTimeoutMs,
    // A function that hangs between two statements must not hold its locks.
    idle_in_transaction_session_timeout: options.transactionTimeoutMs,
    // A client that is gone must not keep a long statement running.
    client_connection_check_interval: 2_000,
  };
  const ours = Object.entries(settings).map(([name, value]) => `-c ${name}=${value}`);
  return {
    connectionString: search.size > 0 ? `${base}?${search}` : base,
    options: [...ours, given].join(' ').trim(),
    application_name: options.applicationName,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveDelayMs,
    types: typeParsers,
  };
};

/** Settings of the connections that serve callers: no answer takes for ever, whatever the network does. */
export const boundedConfig = (config: pg.ClientConfig, statementTimeoutMs: number): pg.ClientConfig => ({
  ...config,
  query_timeout: statementTimeoutMs + answerMarginMs,
});

/** Where a URL points to, for a person: host and port or the socket's directory, never user or password. */
export const describeTarget = (url: string): string => {
  const [base = '', query = ''] = url.split('?', 2);
  const socket = new URLSearchParams(query).get('host');
  if (socket) return socket;
  const authority = /^\w+:\/\/([^/]*)/.exec(base)?.[1] ?? '';
  const host = decodeURIComponent(authority.slice(authority.lastIndexOf('@') + 1));
  if (host === '') return 'localhost:5432';
  return host.startsWith('/') || /:\d+$/.test(host) ? host : `${host}:5432`;
};
