import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A service as it was registered. */
interface Registered {
  readonly ID: string;
  readonly Name: string;
  readonly Address: string;
  readonly Port: number;
  readonly Check: {
    readonly CheckID: string;
    readonly TTL: string;
    readonly DeregisterCriticalServiceAfter: string;
  };
}

/** A Consul agent as far as discovery sees one: blocking health queries, registration and TTL beats over HTTP. */
export interface FakeConsul {
  readonly url: string;
  readonly services: ReadonlyMap<string, Registered>;
  /** Lines such as `PUT /v1/agent/check/pass/service:a`. */
  readonly requests: readonly string[];
  /** Health queries that wait for a change now. */
  readonly blocked: number;
  /** An instance whose time to live has run out. */
  fail(id: string): void;
  /** A change that touches the index and nothing a client can see. */
  touch(): void;
  /** Goes away: connections are cut, new ones refused. */
  stop(): Promise<void>;
  /** Comes back at the same port, with an empty catalogue, as a `-dev` agent does. */
  restart(): Promise<void>;
}

const body = async (request: IncomingMessage): Promise<string> => {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
};

/** Starts one on a free port. `minTtl`-like rules of the real one that matter to us are checked by the real one. */
export const fakeConsul = async (): Promise<FakeConsul> => {
  const services = new Map<string, Registered>();
  const passing = new Set<string>();
  const requests: string[] = [];
  const waiting = new Set<() => void>();
  let index = 10;

  const changed = () => {
    index += 1;
    for (const wake of [...waiting]) wake();
  };

  const health = async (url: URL, response: ServerResponse) => {
    const name = decodeURIComponent(url.pathname.split('/').at(-1) ?? '');
    const known = Number(url.searchParams.get('index'));
    if (known >= index) {
      await new Promise<void>((resolve) => {
        const done = () => {
          clearTimeout(timer);
          waiting.delete(done);
          resolve();
        };
        const timer = setTimeout(done, Number.parseInt(url.searchParams.get('wait') ?? '', 10));
        waiting.add(done);
        response.once('close', done);
      });
    }
    const entries = [...services.values()]
      .filter(({ Name, ID }) => Name === name && passing.has(ID))
      .map(({ Address, Port }) => ({ Node: { Address: '10.0.0.1' }, Service: { Address, Port } }));
    response.setHeader('content-type', 'application/json');
    response.setHeader('x-consul-index', String(index));
    response.setHeader('x-consul-knownleader', 'true');
    response.end(JSON.stringify(entries));
  };

  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(request.url ?? '', 'http://consul');
    requests.push(`${request.method} ${url.pathname}`);
    if (url.pathname.startsWith('/v1/health/service/')) return health(url, response);
    const id = decodeURIComponent(url.pathname.split('/').at(-1) ?? '');
    if (url.pathname === '/v1/agent/service/register') {
      const registered = JSON.parse(await body(request)) as Registered;
      services.set(registered.ID, registered);
      passing.add(registered.ID);
      changed();
    } else if (url.pathname.startsWith('/v1/agent/check/pass/service:')) {
      const service = id.slice('service:'.length);
      if (!services.has(service)) {
        response.statusCode = 404;
        return response.end(`Unknown check ID "${id}"`);
      }
      if (!passing.has(service)) {
        passing.add(service);
        changed();
      }
    } else if (url.pathname.startsWith('/v1/agent/service/deregister/')) {
      if (services.delete(id)) changed();
    } else {
      response.statusCode = 404;
    }
    return response.end();
  };

  const make = () => createServer((request, response) => void handle(request, response));
  const listen = (port: number) =>
    new Promise<number>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
    });
  let server = make();
  const port = await listen(0);
  return {
    url: `consul://127.0.0.1:${port}`,
    services,
    requests,
    get blocked() {
      return waiting.size;
    },
    fail: (id) => {
      passing.delete(id);
      changed();
    },
    touch: changed,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
    restart: async () => {
      services.clear();
      passing.clear();
      index = 3;
      server = make();
      await listen(port);
    },
  };
};
