import type { Service } from '@skein/service-kit';

/** One running process of a service. */
export interface Instance {
  readonly service: string;
  /** Unique among all processes, such as `auth-7f3a`. */
  readonly id: string;
  readonly host: string;
  readonly port: number;
}

/** Where the instances of services are found, and where one's own is made known. */
export interface Discovery extends Service {
  /** The gRPC target that resolves to the running instances of a service, now and as they change. */
  target(service: string): string;
  /** Makes an instance known: `run` registers, `drain` takes it out again, `stop` frees the rest. */
  register(instance: Instance): Service;
}
