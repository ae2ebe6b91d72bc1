import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** A port that something else listens on, or that may not be listened on. */
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

/** A port of the plan: what it is for, and which option moves it. */
export interface PlannedPort {
  readonly port: number;
  readonly what: string;
  readonly option: '--port' | '--grpc-port' | '--management-port';
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

/** Instances of each service. */
export const instancesOf = (mesh: boolean): number => (mesh ? 2 : 1);

/**
 * The ports of Consul and NATS, between those of the first and the second instances. Fixed ones: a port that the
 * system gave away as free may be somebody's connection a moment later.
 */
export const componentPorts = ({ grpcPort }: PortPlan) => ({
  consul: { http: grpcPort + 5, serf: grpcPort + 6, server: grpcPort + 7 },
  nats: { client: grpcPort + 8, monitor: grpcPort + 9 },
});

const plannedOfComponents = (plan: PortPlan): readonly PlannedPort[] =>
  Object.entries(componentPorts(plan)).flatMap(([name, ports]) =>
    Object.entries(ports).map(
      ([what, port]): PlannedPort => ({ port, what: `${what} of ${name}`, option: '--grpc-port' }),
    ),
  );

const plannedOfServices = (plan: PortPlan, instances: number): readonly PlannedPort[] =>
  Array.from({ length: instances }).flatMap((_, instance) =>
    serviceNames.flatMap((name): PlannedPort[] => {
      const ports = portsOf(plan, name, instance);
      return [
        ...(name === 'gateway'
          ? [{ port: ports.public, what: 'the public address', option: '--port' } as const]
          : []),
        { port: ports.grpc, what: `gRPC of ${name}`, option: '--grpc-port' },
        { port: ports.management, what: `management of ${name}`, option: '--management-port' },
      ];
    }),
  );

/** Every port that is listened on. */
export const plannedPorts = (plan: PortPlan, mesh: boolean): readonly PlannedPort[] => [
  ...plannedOfServices(plan, instancesOf(mesh)),
  ...(mesh ? plannedOfComponents(plan) : []),
];

const sentence = ({ port, what, option }: PlannedPort, host: string, code: string | undefined): string => {
  if (code === 'EADDRINUSE')
    return `Port ${port} (${what}) is in use: stop what listens there, or choose another with ${option}.`;
  if (code === 'EACCES')
    return `Port ${port} (${what}) needs rights that this user does not have: choose one above 1023 with ${option}.`;
  return `Port ${port} (${what}) cannot be listened on at ${host} (${code}): HOST must be an address of this machine.`;
};

const probe = (planned: PlannedPort, host: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(new BusyPortError(sentence(planned, host, error.code), { cause: error })),
    );
    server.listen({ port: planned.port, host, exclusive: true }, () => server.close(() => resolve()));
  });

/** A component whose launcher was killed is killed by its watch, a moment later. */
const lettingGoMs = 1_000;
const pollMs = 50;

/** Rejects with a BusyPortError that names the port and the option that moves it, when it is not let go of soon. */
export const assertFree = async (planned: PlannedPort, host: string): Promise<void> => {
  const deadline = performance.now() + lettingGoMs;
  for (;;) {
    try {
      await probe(planned, host);
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await delay(pollMs);
    }
  }
};
