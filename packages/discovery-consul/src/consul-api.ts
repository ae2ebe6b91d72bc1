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
  constructor(path: string, status: number, body: string) {
    super(`Consul answered ${status} to ${path}: ${body.slice(0, 200)}`);
    this.status = status;
  }
}

/** Everything but a blocking query answers within this, or Consul counts as away. */
const timeoutMs = 2_000;

interface ServiceEntry {
  readonly Node: { readonly Address: string };
  readonly Service: { readonly Address: string; readonly Port: number };
}

const seconds = (ms: number): string => `${Math.ceil(ms / 1000)}s`;

/** Talks to the agent at `baseUrl` (`http://host:port`); `token` is an ACL token or empty. */
export const consulApi = (baseUrl: string, token: string): ConsulApi => {
  const headers: Record<string, string> = token === '' ? {} : { 'x-consul-token': token };

  const put = async (path: string, body?: unknown): Promise<Response> =>
    fetch(`${baseUrl}${path}`, {
      method: 'PUT',
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(timeoutMs),
    });
  const check = async (path: string, response: Response): Promise<void> => {
    const body = await response.text();
    if (!response.ok) throw new ConsulRefused(path, response.status, body);
  };

  return {
    passing: async (service, { index, waitMs, signal }) => {
      // Any server may answer: a list some milliseconds old beats none while there is no leader.
      const path = `/v1/health/service/${encodeURIComponent(service)}?passing=1&stale&index=${index}&wait=${waitMs}ms`;
      const response = await fetch(`${baseUrl}${path}`, {
        headers,
        // Consul adds up to a sixteenth to the wait.
        signal: AbortSignal.any([signal, AbortSignal.timeout(Math.ceil(waitMs * 1.1) + timeoutMs)]),
      });
      if (!response.ok) throw new ConsulRefused(path, response.status, await response.text());
      const entries = (await response.json()) as readonly ServiceEntry[];
      if (entries.length === 0 && response.headers.get('x-consul-knownleader') === 'false') {
        throw new Error('Consul has no leader: it does not know which instances there are');
      }
      return {
        index: Number(response.headers.get('x-consul-index')) || 0,
        addresses: entries.map(({ Node, Service }) => ({
          host: Service.Address || Node.Address,
          port: Service.Port,
        })),
      };
    },
    register: async ({ service, id, address, ttlMs, forgetMs }) => {
      const path = '/v1/agent/service/register?replace-existing-checks=true';
      const response = await put(path, {
        ID: id,
        Name: service,
        Address: address.host,
        Port: address.port,
        Check: {
          CheckID: `service:${id}`,
          TTL: seconds(ttlMs),
          // Found at once, not only after the first beat.
          Status: 'passing',
          DeregisterCriticalServiceAfter: seconds(forgetMs),
        },
      });
      await check(path, response);
    },
    beat: async (instanceId) => {
      const path = `/v1/agent/check/pass/service:${encodeURIComponent(instanceId)}`;
      const response = await put(path);
      const body = await response.text();
      if (response.ok) return true;
      // Consul before 1.11 says 500 with "unknown check".
      if (response.status === 404 || /unknown check/i.test(body)) return false;
      throw new ConsulRefused(path, response.status, body);
    },
    deregister: async (instanceId) => {
      const path = `/v1/agent/service/deregister/${encodeURIComponent(instanceId)}`;
      const response = await put(path);
      if (response.status !== 404) await check(path, response);
    },
  };
};
