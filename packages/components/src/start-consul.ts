import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ComponentProcess, startProcess } from './component-process.ts';
import { freePorts } from './free-ports.ts';
import { componentPath } from './locate.ts';
import { retryOnTakenPort, workingDirectory } from './working-directory.ts';

/** The three ports an agent listens on, all on the loopback address. DNS and Consul's own gRPC are off. */
export interface ConsulPorts {
  readonly http: number;
  readonly serf: number;
  readonly server: number;
}

/** How to start an agent. */
export interface ConsulOptions {
  /** Keeps catalogue and key-value store here, over restarts. Without it all is in memory and lost at the end. */
  readonly dataDir?: string;
  /** Those of an agent that was killed, to come back at the same address. Free ones by default. */
  readonly ports?: ConsulPorts;
  /** Denies everything without a token. Default false. */
  readonly acl?: boolean;
  /** The management token when `acl` is on; by default a random one. */
  readonly token?: string;
  /** Default: a file in a temporary directory that `stop` removes. */
  readonly logFile?: string;
}

/** A Consul server that has elected itself. */
export interface ConsulAgent extends ComponentProcess, AsyncDisposable {
  /** `http://127.0.0.1:<port>` */
  readonly httpAddress: string;
  readonly ports: ConsulPorts;
  /** The management token; empty when ACLs are off. */
  readonly token: string;
}

const configuration = (options: ConsulOptions, ports: ConsulPorts, token: string, run: string) => ({
  bind_addr: '127.0.0.1',
  client_addr: '127.0.0.1',
  node_name: 'skein',
  node_meta: { run },
  ports: {
    http: ports.http,
    serf_lan: ports.serf,
    server: ports.server,
    https: -1,
    dns: -1,
    grpc: -1,
    grpc_tls: -1,
    serf_wan: -1,
  },
  connect: { enabled: false },
  peering: { enabled: false },
  disable_update_check: true,
  disable_anonymous_signature: true,
  ...(options.dataDir === undefined
    ? {}
    : { server: true, bootstrap_expect: 1, data_dir: options.dataDir, performance: { raft_multiplier: 1 } }),
  ...(token
    ? { acl: { enabled: true, default_policy: 'deny', tokens: { initial_management: token, agent: token } } }
    : {}),
});

const ask = async (url: string, token: string): Promise<unknown> => {
  const headers = token ? { 'x-consul-token': token } : {};
  const response = await fetch(url, { headers, signal: AbortSignal.timeout(1000) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  return response.json();
};

/** True when the agent at this address is the one of this `run` — another may sit there — and it has a leader. */
const isReady = async (httpAddress: string, token: string, run: string): Promise<boolean> => {
  const self = await ask(`${httpAddress}/v1/agent/self`, token);
  if (!JSON.stringify(self).includes(run)) return false;
  // The agent's own node is in the catalogue only once there is a leader that takes writes.
  const nodes = await ask(`${httpAddress}/v1/catalog/nodes`, token);
  return Array.isArray(nodes) && nodes.length > 0;
};

const choosePorts = async (): Promise<ConsulPorts> => {
  const [http = 0, serf = 0, server = 0] = await freePorts(3);
  return { http, serf, server };
};

/**
 * Starts a Consul agent on the loopback address and resolves when it answers and has a leader. The caller ends it
 * with `stop` (or `await using`); `kill` is for tests of what happens when it dies.
 */
export const startConsul = (options: ConsulOptions = {}): Promise<ConsulAgent> =>
  retryOnTakenPort(options.ports !== undefined, async () => {
    const file = await componentPath('consul');
    const ports = options.ports ?? (await choosePorts());
    const token = options.acl ? (options.token ?? randomUUID()) : '';
    const run = randomUUID();
    const httpAddress = `http://127.0.0.1:${ports.http}`;
    const directory = await workingDirectory('consul');
    try {
      const config = join(directory.path, 'consul.json');
      await writeFile(config, JSON.stringify(configuration(options, ports, token, run)), { mode: 0o600 });
      const consul = await startProcess({
        name: 'consul',
        file,
        args: ['agent', ...(options.dataDir === undefined ? ['-dev'] : []), '-config-file', config],
        logFile: options.logFile ?? join(directory.path, 'consul.log'),
        directory: directory.path,
        isReady: () => isReady(httpAddress, token, run),
      });
      const stop = async () => {
        await consul.stop();
        await directory.remove();
      };
      return { ...consul, httpAddress, ports, token, stop, [Symbol.asyncDispose]: stop };
    } catch (error) {
      await directory.remove();
      throw error;
    }
  });
