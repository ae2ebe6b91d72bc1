import type { Discovery } from '@skein/discovery';
import { tryFor } from '@skein/service-kit';
import type { Logger, MetricRegistry } from '@skein/telemetry';
import { type ConsulApi, ConsulRefused, consulApi } from './consul-api.ts';
import { openToResolvers } from './consul-resolver.ts';
import { readConsulUrl } from './consul-url.ts';
import { registrationPart } from './registration.ts';
import { type ServiceWatch, serviceWatch } from './service-watch.ts';

/** Which Consul, and the bounds. */
export interface ConsulDiscoveryOptions {
  /**
   * `consul://host:port` of the local agent; an ACL token goes in as `consul://:token@host:port`. With a `/name` at the
   * end services are `name-auth` and so on in Consul: whoever has another name there does not see them.
   */
  readonly url: string;
  readonly log: Logger;
  /** Where it says whether Consul answers, and how many instances are known; default nowhere. */
  readonly metrics?: MetricRegistry;
  /** An instance that has not been heard of for this long is critical. Default 10 s. */
  readonly ttlMs?: number;
  /** How long the last instances are used after none passes any more. Default 30 s. */
  readonly graceMs?: number;
  /** Longest blocking query. Default 55 s. */
  readonly waitMs?: number;
  /** 0 ≤ n < 1; default `Math.random`. */
  readonly random?: () => number;
}

/** Consul forgets critical instances after a minute at the earliest. */
const forgetMs = 60_000;

/** What is in front of the name of every service in Consul, from the path of the URL. */
const prefixOf = (path: string): string => {
  if (path === '') return '';
  if (!/^[a-z0-9][-a-z0-9]*$/.test(path))
    throw new TypeError('must be consul://host:port or consul://host:port/name, the name of a-z, 0-9 and -');
  return `${path}-`;
};

/** The same calls for services that have a prefix to their name in Consul. */
const prefixed = (api: ConsulApi, prefix: string): ConsulApi => ({
  ...api,
  passing: (service, query) => api.passing(prefix + service, query),
  register: (registration) => api.register({ ...registration, service: prefix + registration.service }),
});

const checkPauseMs = 1_000;

const reasonOf = (error: unknown): string =>
  error instanceof AggregateError
    ? error.errors.map(reasonOf).join(', ')
    : error instanceof Error
      ? error.message
      : String(error);

/** Asks what every client will ask: that needs an agent, a leader and, with ACLs, a token. */
const checkAgent = async (api: ConsulApi, authority: string, waitMs: number): Promise<string> => {
  const isRefusal = (error: unknown) => error instanceof ConsulRefused && error.status === 403;
  const attempt = () =>
    api.passing('gateway', { index: 0, waitMs: 0, signal: AbortSignal.timeout(waitMs + 5_000) });
  try {
    await tryFor({ waitMs, pauseMs: checkPauseMs, hopeless: isRefusal }, attempt);
    return `Consul at ${authority} is reached`;
  } catch (error) {
    const wayOut = isRefusal(error)
      ? 'check the ACL token in DISCOVERY_URL'
      : 'start the agent, or set DISCOVERY_URL to where one runs';
    throw new Error(`Consul at ${authority} is NOT reached (${reasonOf(error)}): ${wayOut}`, {
      cause: error,
    });
  }
};

/** The same calls; `told` hears whether each was answered well. A call that was taken back says nothing. */
const observed = (api: ConsulApi, told: (well: boolean) => void): ConsulApi => {
  const seen = async <T>(call: Promise<T>, isOver = () => false): Promise<T> => {
    try {
      const answer = await call;
      told(true);
      return answer;
    } catch (error) {
      if (!isOver()) told(false);
      throw error;
    }
  };
  return {
    passing: (service, query) => seen(api.passing(service, query), () => query.signal.aborted),
    register: (registration) => seen(api.register(registration)),
    beat: (id) => seen(api.beat(id)),
    deregister: (id) => seen(api.deregister(id)),
  };
};

/** Discovery by a Consul agent; see the README for what it does when Consul is away. */
export const consulDiscovery = (options: ConsulDiscoveryOptions): Discovery => {
  const { log, ttlMs = 10_000, graceMs = 30_000, waitMs = 55_000, random = Math.random } = options;
  const { authority, token, path } = readConsulUrl(options.url);
  const prefix = prefixOf(path);
  let up = false;
  options.metrics?.gauge('skein_consul_up', '1 while Consul answers well.', () => (up ? 1 : 0));
  const instances = options.metrics?.gauge(
    'skein_consul_instances',
    'Instances that calls go to, by service.',
  );
  const api = observed(prefixed(consulApi(`http://${authority}`, token), prefix), (well) => {
    up = well;
  });
  const watches = new Map<string, ServiceWatch>();
  const watchOf = (service: string): ServiceWatch => {
    let watch = watches.get(service);
    if (!watch) {
      const told = (count: number) => instances?.set(count, { target: service });
      watch = serviceWatch({ service, api, log, waitMs, graceMs, random, told });
      watches.set(service, watch);
    }
    return watch;
  };
  const close = openToResolvers(authority, watchOf);
  return {
    id: 'discovery',
    run: async () => {},
    stop: async () => close(),
    check: (waitMs) => checkAgent(api, authority, waitMs),
    target: (service) => `consul://${authority}/${service}`,
    register: ({ service, id, host, port }) =>
      registrationPart({
        api,
        registration: { service, id, address: { host, port }, ttlMs, forgetMs },
        log,
        random,
      }),
  };
};
