import { createServer } from 'node:net';

/** A port that something else listens on. */
export class BusyPortError extends Error {
  override readonly name = 'BusyPortError';
}

/** The five services, in the order their ports are given out. */
export const serviceNames = ['gateway', 'auth', 'user', 'session-sync', 'agent'] as const;

/** One of the five. */
export type ServiceName = (typeof serviceNames)[number];

/** Where one instance listens. `public` only for gateways. */
export interface InstancePorts {
  readonly public: number;
  readonly grpc: number;
  readonly management: number;
}

/** First ports of the three ranges. */
export interface PortPlan {
  /** Public port of the first gateway; the second instance's is ten above. */
  readonly port: number;
  /** gRPC ports count up from here: one a service, ten further a replica. */
  readonly grpcPort: number;
  /** Management ports (health, metrics), counted likewise. */
  readonly managementPort: number;
}

/** The ports of one instance (from 0) of a service. */
export const portsOf = (plan: PortPlan, service: ServiceName, instance: number): InstancePorts => {
  const at = serviceNames.indexOf(service) + instance * 10;
  return {
    public: plan.port + instance * 10,
    grpc: plan.grpcPort + at,
    management: plan.managementPort + at,
  };
};

/** Rejects with a BusyPortError that names the port and the option that moves it. */
export const assertFree = (port: number, host: string, what: string, option: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EADDRINUSE'
          ? new BusyPortError(
              `Port ${port} (${what}) is in use. Stop what listens there, or choose another with ${option}.`,
            )
          : error,
      );
    });
    probe.listen({ port, host, exclusive: true }, () => probe.close(() => resolve()));
  });
