import { EventEmitter } from 'node:events';
import Consul from 'consul';

/** The five calls of Consul's HTTP API that discovery needs (developer.hashicorp.com/consul/api-docs). */
export interface ConsulApi {
  /**
   * The passing instances of a service. With the `index` of an earlier answer it blocks until something changed or
   * `waitMs` has passed.
   */
  passing(service: string, query: PassingQuery): Promise<Passing>;
  register(registration: ServiceRegistration): Promise<void>;
  /** Reports an instance as alive; false when this agent does not know it (any more). */
  beat(instanceId: string): Promise<boolean>;
  deregister(instanceId: string): Promise<void>;
}

/** What is asked. */
export interface PassingQuery {
  readonly index: number;
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

/** Where an instance listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** What is answered. */
export interface Passing {
  readonly index: number;
  readonly addresses: readonly Address[];
}

/** An instance as Consul keeps it, with its time-to-live check. */
export interface ServiceRegistration {
  readonly service: string;
  readonly id: string;
  readonly address: Address;
  readonly ttlMs: number;
  /** An instance that has been critical this long is forgotten; Consul's least is a minute. */
  readonly forgetMs: number;
}

/** Consul answered with something else than success. */
export class ConsulRefused extends Error {
  override readonly name = 'ConsulRefused';
  readonly status: number;
  constructor(what: string, status: number, cause: unknown) {
    super(`Consul answered ${status} to ${what}`, { cause });
    this.status = status;
  }
}

/** Everything but a blocking query answers within this, or Consul counts as away. */
export const timeoutMs = 2_000;

interface ServiceEntry {
  readonly Node: { readonly Address: string };
  readonly Service: { readonly Address: string; readonly Port: number };
}

/** The status the agent has answered with; 0 for an error of another kind. */
export const statusOf = (error: unknown): number =>
  typeof error === 'object' && error !== null && 'statusCode' in error ? Number(error.statusCode) : 0;

const seconds = (ms: number): string => `${Math.ceil(ms / 1000)}s`;

/** How the client is told to stop a request, and asked for the headers of the answer as well. */
export class RequestContext extends EventEmitter {
  readonly includeResponse = true;
}

/** Talks to the agent at `baseUrl` (`http://host:port`); `token` is an ACL token or empty. */
export const consulApi = (baseUrl: string, token: string): ConsulApi => {
  const { hostname, port } = new URL(baseUrl);
  // The client's types know fewer options than the client.
  const options = {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port) || 8500,
    timeout: timeoutMs,
    defaults: token === '' ? {} : { token },
  };
  const consul = new Consul(options);
  const refused = (what: string, error: unknown): unknown =>
    statusOf(error) > 0 ? new ConsulRefused(what, statusOf(error), error) : error;

  return {
    passing: async (service, { index, waitMs, signal }) => {
      signal.throwIfAborted();
      const ctx = new RequestContext();
      const cancel = () => ctx.emit('cancel');
      signal.addEventListener('abort', cancel, { once: true });
      try {
        const query = {
          service,
          passing: true,
          // Any server may answer: a list some milliseconds old beats none while there is no leader.
          stale: true,
          index: String(index),
          wait: `${waitMs}ms`,
          // Consul adds up to a sixteenth to the wait.
          timeout: Math.ceil(waitMs * 1.1) + timeoutMs,
          ctx,
        };
        // With `includeResponse` the answer is the response and its body, which the client's types do not say.
        const [response, entries] = (await consul.health.service(query)) as unknown as [
          { readonly headers: Readonly<Record<string, string | undefined>> },
          readonly ServiceEntry[],
        ];
        if (entries.length === 0 && response.headers['x-consul-knownleader'] === 'false') {
          throw new Error('Consul has no leader: it does not know which instances there are');
        }
        return {
          index: Number(response.headers['x-consul-index']) || 0,
          addresses: entries.map(({ Node, Service }) => ({
            host: Service.Address || Node.Address,
            port: Service.Port,
          })),
        };
      } catch (error) {
        throw refused(`the instances of ${service}`, error);
      } finally {
        signal.removeEventListener('abort', cancel);
      }
    },
    register: async ({ service, id, address, ttlMs, forgetMs }) => {
      const registration = {
        id,
        name: service,
        address: address.host,
        port: address.port,
        check: {
          checkid: `service:${id}`,
          ttl: seconds(ttlMs),
          // Found at once, not only after the first beat.
          status: 'passing',
          deregistercriticalserviceafter: seconds(forgetMs),
        },
      };
      try {
        // The client's types know fewer fields than the client.
        await consul.agent.service.register(
          registration as unknown as Parameters<typeof consul.agent.service.register>[0],
        );
      } catch (error) {
        throw refused(`the registration of ${id}`, error);
      }
    },
    beat: async (instanceId) => {
      try {
        await consul.agent.check.pass({ id: `service:${instanceId}` });
        return true;
      } catch (error) {
        // Consul before 1.11 says 500 with "unknown check".
        if (statusOf(error) === 404 || /unknown check/i.test(String(error))) return false;
        throw refused(`the beat of ${instanceId}`, error);
      }
    },
    deregister: async (instanceId) => {
      try {
        await consul.agent.service.deregister({ id: instanceId });
      } catch (error) {
        if (statusOf(error) !== 404) throw refused(`the goodbye of ${instanceId}`, error);
      }
    },
  };
};
