import type { ConfigStore, ConfigWatchOptions } from '@skein/config';
import { type Discovery, staticDiscovery } from '@skein/discovery';
import { type EventBus, type LiveBus, noPeers, postgresBus } from '@skein/events';
import type { Database } from '@skein/postgres';
import { ConfigError, type Service } from '@skein/service-kit';
import type { Logger, MetricRegistry } from '@skein/telemetry';

/**
 * The adapters that URLs choose. Heavy clients are loaded only when a URL asks for them: a mesh on the embedded
 * default never pays for NATS or Consul.
 */

/** The two buses and the connections below them, which start first. */
export interface Buses {
  readonly bus: EventBus;
  readonly live: LiveBus;
  readonly parts: readonly Service[];
}

/** What an adapter may know of the process. */
export interface AdapterContext {
  readonly instance: string;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
}

/** Makes the buses of `EVENTS_URL`; a database is needed only for `postgres:`. */
export type OpenBuses = (database: Database | undefined) => Buses;

/** Loads what `EVENTS_URL` needs. Nothing connects yet. ConfigError for a URL it cannot read. */
export const loadEvents = async (
  url: string,
  { instance, log, metrics }: AdapterContext,
): Promise<OpenBuses> => {
  if (!url.startsWith('postgres:')) {
    const { jetStreamBus, natsLink, natsLiveBus, readServerUrl } = await import('@skein/events-nats');
    readable('EVENTS_URL', () => readServerUrl(url));
    return () => {
      const link = natsLink({ url, name: instance, log, metrics });
      const bus = jetStreamBus({ link, log });
      const live = natsLiveBus({ link, log });
      return { bus, live, parts: [link, bus, live] };
    };
  }
  return (database) => {
    if (!database) throw new Error('bug: ask for the database before the events, which it keeps');
    const bus = postgresBus({ database, instance, log });
    const live = noPeers();
    return { bus, live, parts: [bus, live] };
  };
};

/** What an adapter cannot read in its URL is a fault of the configuration: it is said and the process ends with 78. */
const readable = <T>(setting: string, work: () => T): T => {
  try {
    return work();
  } catch (error) {
    if (error instanceof TypeError) throw new ConfigError([`${setting}: ${error.message}`]);
    throw error;
  }
};

/**
 * Loads and opens what `DISCOVERY_URL` needs. Nothing connects yet. ConfigError for a URL it cannot read, and from
 * `target` for a service that a static list lacks.
 */
export const loadDiscovery = async (url: string, { log, metrics }: AdapterContext): Promise<Discovery> => {
  const open = async (): Promise<Discovery> => {
    if (url.startsWith('static:')) return readable('DISCOVERY_URL', () => staticDiscovery(url));
    const { consulDiscovery } = await import('@skein/discovery-consul');
    return readable('DISCOVERY_URL', () => consulDiscovery({ url, log, metrics }));
  };
  const discovery = await open();
  return { ...discovery, target: (service) => readable('DISCOVERY_URL', () => discovery.target(service)) };
};

/** Opens the store that `CONFIG_URL` names. Nothing connects yet. ConfigError for a URL it cannot read. */
export const openConfigStore = async (url: string): Promise<ConfigStore> => {
  if (url.startsWith('file:')) {
    const { fileStore } = await import('@skein/config');
    return readable('CONFIG_URL', () => fileStore(url));
  }
  const { consulConfigStore } = await import('@skein/discovery-consul');
  return readable('CONFIG_URL', () => consulConfigStore(url));
};

/** The part that keeps a configuration as the config centre says; nothing when `CONFIG_URL` names none. */
export const loadConfigWatch = async (
  url: string,
  service: string,
  options: Omit<ConfigWatchOptions, 'store' | 'service'>,
): Promise<readonly Service[]> => {
  if (url === '') return [];
  const { configWatch } = await import('@skein/config');
  return [configWatch({ ...options, store: await openConfigStore(url), service })];
};
