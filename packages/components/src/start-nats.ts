import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ComponentProcess, startProcess } from './component-process.ts';
import { freePorts } from './free-ports.ts';
import { componentPath } from './locate.ts';
import { retryOnTakenPort, workingDirectory } from './working-directory.ts';

/** The two ports a server listens on, both on the loopback address. */
export interface NatsPorts {
  readonly client: number;
  readonly monitor: number;
}

/** How to start a server. */
export interface NatsOptions {
  /**
   * Where JetStream keeps its files. Give one to restart a killed server with its store; by default a temporary
   * directory that `stop` removes.
   */
  readonly storeDir?: string;
  /** Lines added to the server's configuration, such as an `authorization` block. */
  readonly configuration?: string;
  /** Those of a server that was killed, to come back at the same address. Free ones by default. */
  readonly ports?: NatsPorts;
  /** Default: a file in a temporary directory that `stop` removes. */
  readonly logFile?: string;
}

/** A NATS server with JetStream that is ready for streams. */
export interface NatsServer extends ComponentProcess, AsyncDisposable {
  /** `nats://127.0.0.1:<port>` */
  readonly url: string;
  /** `http://127.0.0.1:<port>`, with `/healthz`, `/jsz`, `/connz` and the like. */
  readonly monitorUrl: string;
  readonly ports: NatsPorts;
  readonly storeDir: string;
}

/** Acknowledged means on disk: without `sync_interval: always` a killed server may lose what it acknowledged. */
const configuration = (ports: NatsPorts, storeDir: string, serverName: string, more = ''): string => `
listen: "127.0.0.1:${ports.client}"
http: "127.0.0.1:${ports.monitor}"
server_name: "${serverName}"
jetstream {
  store_dir: ${JSON.stringify(storeDir)}
  sync_interval: always
  max_memory_store: 64MB
  max_file_store: 4GB
}
${more}
`;

/** True when the server at this address is the one of this name — another may sit there — and is healthy. */
const isReady = async (monitorUrl: string, serverName: string): Promise<boolean> => {
  const ask = (path: string) => fetch(`${monitorUrl}${path}`, { signal: AbortSignal.timeout(1000) });
  const about = await ask('/varz');
  return (await about.text()).includes(serverName) && (await ask('/healthz')).ok;
};

const choosePorts = async (): Promise<NatsPorts> => {
  const [client = 0, monitor = 0] = await freePorts(2);
  return { client, monitor };
};

/**
 * Starts a NATS server with JetStream on the loopback address and resolves when it is healthy. The caller ends it
 * with `stop` (or `await using`); `kill` is for tests of what happens when it dies.
 */
export const startNats = (options: NatsOptions = {}): Promise<NatsServer> =>
  retryOnTakenPort(options.ports !== undefined, async () => {
    const file = await componentPath('nats-server');
    const ports = options.ports ?? (await choosePorts());
    const serverName = `skein-${randomUUID()}`;
    const monitorUrl = `http://127.0.0.1:${ports.monitor}`;
    const directory = await workingDirectory('nats');
    try {
      const storeDir = options.storeDir ?? join(directory.path, 'store');
      const config = join(directory.path, 'nats.conf');
      await writeFile(config, configuration(ports, storeDir, serverName, options.configuration), {
        mode: 0o600,
      });
      const nats = await startProcess({
        name: 'nats-server',
        file,
        args: ['--config', config],
        logFile: options.logFile ?? join(directory.path, 'nats.log'),
        directory: directory.path,
        isReady: () => isReady(monitorUrl, serverName),
      });
      const stop = async () => {
        await nats.stop();
        await directory.remove();
      };
      const url = `nats://127.0.0.1:${ports.client}`;
      return { ...nats, url, monitorUrl, ports, storeDir, stop, [Symbol.asyncDispose]: stop };
    } catch (error) {
      await directory.remove();
      throw error;
    }
  });
