import { AuthorizationError, connect, type NatsConnection } from '@nats-io/transport-node';
import { AppError } from '@skein/contracts';
import { type Service, tryFor } from '@skein/service-kit';
import type { Logger, MetricRegistry } from '@skein/telemetry';
import { guardSocket } from './guard-socket.ts';
import { readServerUrl } from './server-url.ts';

/** How to reach the server. */
export interface NatsOptions {
  /** `nats://[user:password@]host:port`, several separated by commas; see `readServerUrl`. */
  readonly url: string;
  /** Name of the connection in the server's list. */
  readonly name: string;
  readonly log: Logger;
  /** Where it says whether there is a connection; default nowhere. */
  readonly metrics?: MetricRegistry;
}

/** One connection of a process, for both buses; it comes back by itself for ever. */
export interface NatsLink extends Service {
  /** The connection, or `unavailable` while there never was one. */
  get(): NatsConnection;
  /** Resolves once there is a connection; rejects with `unavailable` after the signal aborts. */
  ready(signal: AbortSignal): Promise<NatsConnection>;
}

/** A start waits this long for the server; after that the mesh runs without it and connects when it comes. */
const firstWaitMs = 2_000;
const reconnectWaitMs = 250;
const checkPauseMs = 1_000;
const checkTimeoutMs = 3_000;

/** The server knows us and will not have us: waiting does not help. */
const isRefusal = (error: unknown): boolean => error instanceof AuthorizationError;

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/**
 * Opens the connection in the background: a server that is away delays nothing but what needs it. TypeError for a URL
 * that cannot be read.
 */
export const natsLink = ({ url, name, log, metrics }: NatsOptions): NatsLink => {
  const { servers, ...admission } = readServerUrl(url);
  let connection: NatsConnection | undefined;
  let up = false;
  metrics?.gauge('skein_nats_up', '1 while there is a connection to NATS.', () => (up ? 1 : 0));
  let stopping = false;
  let opened = () => {};
  let failed = (_: unknown) => {};
  const open = new Promise<void>((resolve, reject) => {
    opened = resolve;
    failed = reject;
  });
  // Nobody may be waiting; those who do get the rejection themselves.
  open.catch(() => {});

  const watch = async (nc: NatsConnection) => {
    for await (const status of nc.status()) {
      if (status.type === 'disconnect') {
        up = false;
        log.warn({ nats: status.server }, 'NATS is away');
      }
      if (status.type === 'reconnect') {
        up = true;
        guardSocket(nc);
        log.info({ nats: status.server }, 'NATS is back');
      }
    }
  };

  const begin = async () => {
    const nc = await connect({
      servers: [...servers],
      ...admission,
      name,
      // What a replica publishes on the live bus it has already given to its own listeners.
      noEcho: true,
      waitOnFirstConnect: true,
      maxReconnectAttempts: -1,
      reconnectTimeWait: reconnectWaitMs,
      reconnectJitter: reconnectWaitMs,
    });
    if (stopping) {
      await nc.close();
      return;
    }
    guardSocket(nc);
    connection = nc;
    up = true;
    void watch(nc);
    opened();
  };

  const get = (): NatsConnection => {
    if (!connection) throw new AppError('unavailable', 'the event bus (NATS) is away');
    return connection;
  };

  return {
    id: 'nats',
    get,
    ready: async (signal) => {
      const aborted = new Promise<never>((_, reject) => {
        const give = () => reject(new AppError('unavailable', 'the event bus (NATS) is away'));
        if (signal.aborted) give();
        else signal.addEventListener('abort', give, { once: true });
      });
      await Promise.race([open, aborted]);
      return get();
    },
    run: async () => {
      begin().catch((error: unknown) => {
        log.error({ err: error }, 'NATS refuses the connection: check EVENTS_URL and its credentials');
        failed(error);
      });
      const waited = AbortSignal.timeout(firstWaitMs);
      await Promise.race([
        open,
        new Promise<void>((resolve) => waited.addEventListener('abort', () => resolve())),
      ]).catch(() => {});
      if (!connection) log.warn('NATS is not there yet: starting without it');
    },
    stop: async () => {
      stopping = true;
      await connection?.close();
    },
    check: async (waitMs) => {
      const target = servers.join(', ');
      const attempt = () =>
        connect({ servers: [...servers], ...admission, name, reconnect: false, timeout: checkTimeoutMs });
      const nc = await tryFor({ waitMs, pauseMs: checkPauseMs, hopeless: isRefusal }, attempt).catch(
        (error: unknown) => {
          const wayOut = isRefusal(error)
            ? 'check the credentials in EVENTS_URL'
            : 'start it, or set EVENTS_URL to where it runs';
          throw new AppError(
            'unavailable',
            `NATS at ${target} is NOT reached (${reasonOf(error)}): ${wayOut}`,
            {
              cause: error,
            },
          );
        },
      );
      const { jetstream, version } = nc.info ?? {};
      await nc.close();
      if (jetstream) return `NATS at ${target} is reached (${version}, with JetStream)`;
      throw new AppError(
        'unavailable',
        `NATS at ${target} runs without JetStream: start it with --jetstream`,
      );
    },
  };
};
