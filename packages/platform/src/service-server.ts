import type { Discovery } from '@skein/discovery';
import { type Identity, type Implementation, rpcServer } from '@skein/rpc';
import type { Service } from '@skein/service-kit';
import type { Logger, MetricRegistry } from '@skein/telemetry';
import type { PlatformConfig } from './config.ts';
import { management } from './management.ts';

/** What the server of a service is made of. */
export interface ServiceServerOptions {
  readonly process: ServiceProcess;
  readonly config: PlatformConfig;
  readonly discovery: Discovery;
  readonly implementations: readonly Implementation[];
  readonly ready?: (() => boolean) | undefined;
}

/** What all parts of one process share. */
export interface ServiceProcess {
  readonly name: string;
  readonly instance: string;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  readonly identity: Identity;
}

/** The server of a service as one part. */
export interface ServiceServer extends Service {
  /** The port of gRPC, once it runs: what the system chose when `GRPC_PORT` is 0. */
  readonly port: number;
  /** The port of health checks and metrics, once it runs. */
  readonly managementPort: number;
}

/** How often a process that is not ready yet is asked again. */
const askEveryMs = 100;

/** gRPC, management port and registration as one part; see `Platform.server`. */
export const serviceServer = ({
  process,
  config,
  discovery,
  implementations,
  ready = () => true,
}: ServiceServerOptions): ServiceServer => {
  const { name, instance, log, metrics, identity } = process;
  let taking = false;
  let registration: Service | undefined;
  let waiting: NodeJS.Timeout | undefined;
  let registering: Promise<void> | undefined;
  const rpc = rpcServer({
    service: name,
    host: config.GRPC_HOST,
    port: config.GRPC_PORT,
    implementations,
    identity,
    log,
    metrics,
  });
  const probes = management({
    host: config.MANAGEMENT_HOST,
    port: config.MANAGEMENT_PORT,
    metrics,
    log,
    ready: () => taking && ready(),
  });
  /** Known to others as soon as it is ready; a start does not wait for that. */
  const registerWhenReady = async (): Promise<void> => {
    if (!ready()) {
      waiting = setTimeout(() => {
        registering = registerWhenReady();
      }, askEveryMs);
      return;
    }
    const host = config.DISCOVERY_ADDRESS || config.GRPC_HOST;
    registration = discovery.register({ service: name, id: instance, host, port: rpc.port });
    await registration.run();
  };
  return {
    id: 'server',
    get port() {
      return rpc.port;
    },
    get managementPort() {
      return probes.port;
    },
    run: async () => {
      await probes.run();
      await rpc.run();
      registering = registerWhenReady();
      await registering;
      taking = true;
    },
    drain: async () => {
      taking = false;
      clearTimeout(waiting);
      rpc.notServing();
      await registering;
      await registration?.drain?.();
      await rpc.drain?.();
    },
    stop: async () => {
      taking = false;
      clearTimeout(waiting);
      await registration?.stop();
      await rpc.stop();
      await probes.stop();
    },
  };
};
