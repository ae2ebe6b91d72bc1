import { randomBytes } from 'node:crypto';
import type { EventBus, LiveBus } from '@skein/events';
import { type Database, type Migration, openDatabase } from '@skein/postgres';
import {
  type Definition,
  type Identity,
  type Implementation,
  identity,
  type RpcClient,
  rpcClient,
} from '@skein/rpc';
import { ConfigError, lifecycle, liveConfig, type Service } from '@skein/service-kit';
import {
  createLogger,
  createMetrics,
  type Logger,
  type MetricRegistry,
  startTelemetry,
} from '@skein/telemetry';
import type { PlatformConfig } from './config.ts';
import { measuredDatabase } from './measured-database.ts';
import { type Buses, loadConfigWatch, loadDiscovery, loadEvents } from './open-adapters.ts';
import { processMetrics } from './process-metrics.ts';
import { type ServiceServer, serviceServer } from './service-server.ts';

/** What a client may be told beside its target. */
export interface ClientOptions<D extends Definition> {
  /** Methods that may safely run twice; see `RpcClientOptions`. */
  readonly retryable?: readonly (keyof D & string)[];
  /** Methods whose calls go over a stream; see `RpcClientOptions`. */
  readonly carried?: Readonly<Partial<Record<keyof D & string, keyof D & string>>>;
}

/** What a server may be told beside its implementations. */
export interface ServerOptions {
  /**
   * Whether the process can take work, of its own state only. Until it can, `/readyz` is 503 and discovery does not
   * know the process; the start does not wait for it. Default: as soon as the server runs.
   */
  readonly ready?: () => boolean;
}

/** The ground a service stands on, opened from its configuration. */
export interface Platform {
  readonly name: string;
  /** Names this process among its replicas. */
  readonly instance: string;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  readonly identity: Identity;
  /** The service's own schema of the database. One a process; asking again gives the same. */
  database(migrations: readonly Migration[]): Database;
  /** The buses `EVENTS_URL` names. One pair a process. */
  events(): { readonly bus: EventBus; readonly live: LiveBus };
  /** A client of another service: ask once and share it. */
  client<D extends Definition>(definition: D, service: string, options?: ClientOptions<D>): RpcClient<D>;
  /**
   * The gRPC server with health and reflection, the management port, and the registration in discovery. Drains in
   * the order that loses no call: NOT_SERVING, deregister, finish what is in hand.
   */
  server(implementations: readonly Implementation[], options?: ServerOptions): ServiceServer;
  /**
   * Everything opened here (telemetry, discovery, databases, buses, clients), then the given parts: what
   * `compose` returns. A part that was opened here and is also given runs once, where it was given.
   */
  lifecycle(parts: readonly Service[]): Service;
}

/** Opens the platform of the service `name`. Nothing connects before `lifecycle(...)` runs. ConfigError for settings that contradict each other. */
export const openPlatform = async (name: string, config: PlatformConfig): Promise<Platform> => {
  mustBeReachable(config);
  const instance = config.INSTANCE_ID || `${name}-${randomBytes(3).toString('hex')}`;
  const log = createLogger({ service: name, instance, level: config.LOG_LEVEL });
  const metrics = createMetrics();
  const self = identity({
    service: name,
    secret: config.INTERNAL_SECRET,
    also: config.INTERNAL_SECRET_ALSO || undefined,
  });
  const discovery = await loadDiscovery(config.DISCOVERY_URL, { instance, log, metrics });
  const openBuses = await loadEvents(config.EVENTS_URL, { instance, log, metrics });
  const live = liveConfig(config);
  live.onChange('LOG_LEVEL', (level) => {
    log.level = level;
  });
  const opened: Service[] = [
    telemetryPart(name, instance, config),
    processMetrics(metrics, name),
    // Before everything that is told of its settings.
    ...(await loadConfigWatch(config.CONFIG_URL, name, { config: live, log, metrics })),
    discovery,
  ];
  const open = <S extends Service>(part: S): S => {
    opened.push(part);
    return part;
  };

  const authorityOf = (service: string): string | undefined =>
    config.DISCOVERY_AUTHORITY_TEMPLATE.replaceAll('{service}', service) || undefined;

  let database: Database | undefined;
  let buses: Buses | undefined;
  const openSchema = (schema: string, migrations: readonly Migration[]): Database =>
    open(
      measuredDatabase(
        openDatabase(
          {
            url: config.DATABASE_URL,
            directUrl: config.DATABASE_DIRECT_URL || undefined,
            schema,
            migrations,
            poolSize: config.DATABASE_POOL_SIZE,
            applicationName: instance,
          },
          { log },
        ),
        metrics,
      ),
    );

  const shared = { name, instance, log, metrics, identity: self };
  return {
    ...shared,
    database: (migrations) => {
      database ??= openSchema(name.replaceAll('-', '_'), migrations);
      return database;
    },
    events: () => {
      if (!buses) {
        buses = openBuses(database);
        opened.push(...buses.parts);
      }
      return buses;
    },
    client: (definition, service, options = {}) =>
      open(
        rpcClient(definition, {
          service,
          target: discovery.target(service),
          authority: authorityOf(service),
          identity: self,
          log,
          metrics,
          ...options,
        }),
      ),
    server: (implementations, options = {}) =>
      serviceServer({ process: shared, config, discovery, implementations, ...options }),
    lifecycle: (parts) =>
      lifecycle(name, [...opened.filter((part) => !parts.includes(part)), ...parts], {
        onError: (part, error) => log.error({ err: error, part }, 'a part did not end well'),
      }),
  };
};

/** An address that means "all of mine" tells nobody where we are. */
const isUnspecified = (host: string): boolean => {
  const bracketed = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
  // The parser knows all spellings of the two.
  const canonical = URL.canParse(`http://${bracketed}`) ? new URL(`http://${bracketed}`).hostname : '';
  return host === '' || canonical === '0.0.0.0' || canonical === '[::]';
};

const mustBeReachable = (config: PlatformConfig): void => {
  const announced = config.DISCOVERY_ADDRESS || config.GRPC_HOST;
  if (!config.DISCOVERY_URL.startsWith('consul:') || !isUnspecified(announced)) return;
  throw new ConfigError([
    `DISCOVERY_ADDRESS must be an address other services reach this one at: Consul would be told ${JSON.stringify(announced)}`,
  ]);
};

const telemetryPart = (service: string, instance: string, config: PlatformConfig): Service => {
  let started: { stop(): Promise<void> } | undefined;
  return {
    id: 'telemetry',
    run: async () => {
      started = await startTelemetry({ service, instance, otlpEndpoint: config.OTEL_EXPORTER_OTLP_ENDPOINT });
    },
    stop: async () => started?.stop(),
  };
};
