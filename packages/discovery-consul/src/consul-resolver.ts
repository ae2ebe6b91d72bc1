import { type ChannelOptions, experimental, status } from '@grpc/grpc-js';
import type { Instances, ServiceWatch } from './service-watch.ts';

type Resolver = experimental.Resolver;
type Listener = experimental.ResolverListener;
type Target = experimental.GrpcUri;

/** Finds the watch of a service of the Consul named by a target's authority. */
export type Watches = (service: string) => ServiceWatch;

/**
 * Resolvers are made by grpc-js, by scheme, for the whole process: this is where they find their Consul. Keyed by the
 * agent's address, which is the authority of our targets.
 */
const consuls = new Map<string, Watches>();

const unknown = (target: Target): string => `no Consul is open for ${target.authority ?? ''}`;

/**
 * `consul://agent:port/service` for grpc-js 1.14 (experimental API: the version is pinned, the tests are its contract).
 * grpc-js calls `updateResolution` at first use, after a lost connection, and again after `destroy` when an idle
 * channel wakes up; so the subscription can be taken up again. The listener is never called synchronously, never
 * after `destroy`, and never with an empty list.
 */
class ConsulResolver implements Resolver {
  readonly #target: Target;
  readonly #listener: Listener;
  #unsubscribe: (() => void) | undefined;

  constructor(target: Target, listener: Listener, _options: ChannelOptions) {
    this.#target = target;
    this.#listener = listener;
  }

  static getDefaultAuthority(target: Target): string {
    return target.path;
  }

  updateResolution(): void {
    // While it watches there is nothing to refresh: Consul tells of changes itself.
    if (this.#unsubscribe) return;
    const watches = consuls.get(this.#target.authority ?? '');
    if (!watches) {
      queueMicrotask(() => this.#report({ known: false, why: unknown(this.#target) }));
      return;
    }
    this.#unsubscribe = watches(this.#target.path).subscribe((instances) => this.#report(instances));
  }

  destroy(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
  }

  #report(instances: Instances): void {
    if (!instances.known) {
      const error = { code: status.UNAVAILABLE, details: instances.why, metadata: null };
      this.#listener(experimental.statusOrFromError(error), {}, null, instances.why);
      return;
    }
    const endpoints = instances.addresses.map(({ host, port }) => ({ addresses: [{ host, port }] }));
    // Attributes stay empty: a changing value in them would renew every connection.
    this.#listener(experimental.statusOrFromValue(endpoints), {}, null, '');
  }
}

/** Opens a Consul to the resolvers of this process; returns the way to close it. */
export const openToResolvers = (authority: string, watches: Watches): (() => void) => {
  experimental.registerResolver('consul', ConsulResolver);
  consuls.set(authority, watches);
  return () => {
    if (consuls.get(authority) === watches) consuls.delete(authority);
  };
};
