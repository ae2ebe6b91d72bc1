import { fullJitter } from '@skein/resilience';
import type { Logger } from '@skein/telemetry';
import type { Address, ConsulApi } from './consul-api.ts';
import { pause } from './pause.ts';

/** What is known of a service's instances. */
export type Instances =
  | { readonly known: true; readonly addresses: readonly Address[] }
  | { readonly known: false; readonly why: string };

/** Told of every change, never synchronously. */
export type InstancesListener = (instances: Instances) => void;

/** The passing instances of one service, for any number of listeners. */
export interface ServiceWatch {
  /** Tells what is known, if anything is, and then every change. Returns the way to stop. */
  subscribe(listener: InstancesListener): () => void;
}

/** What a watch is made of. */
export interface ServiceWatchOptions {
  readonly service: string;
  readonly api: ConsulApi;
  readonly log: Logger;
  /** Longest blocking query. */
  readonly waitMs: number;
  /** How long the last good list outlives the last passing instance. */
  readonly graceMs: number;
  /** 0 ≤ n < 1 */
  readonly random: () => number;
  /** Hears of every change how many instances there are. */
  readonly told?: (count: number) => void;
}

const backoff = { baseMs: 200, capMs: 5_000 };
/** A Consul that answers blocking queries at once, again and again, is asked this often at most. */
const leastMs = 100;

const textOf = (addresses: readonly Address[]): string =>
  addresses
    .map(({ host, port }) => `${host} ${port}`)
    .sort()
    .join('\n');

/**
 * Watches by blocking queries, for as long as somebody listens. While Consul is away, or says that nobody passes, the
 * last good list stays: a list that is too long costs a failed connection, an empty one fails every call. Only after
 * `graceMs` with no passing instance is an error told. What it has learned survives a time without listeners.
 */
export const serviceWatch = (options: ServiceWatchOptions): ServiceWatch => {
  const { service, api, log, waitMs, graceMs, random, told = () => {} } = options;
  const listeners = new Set<InstancesListener>();
  let current: Instances | undefined;
  let currentText = '';
  let grace: NodeJS.Timeout | undefined;
  let running: AbortController | undefined;

  const tell = (instances: Instances) => {
    current = instances;
    told(instances.known ? instances.addresses.length : 0);
    for (const listener of [...listeners]) listener(instances);
  };
  const nobody = () => {
    grace = undefined;
    currentText = '';
    tell({ known: false, why: `no instance of ${service} passes its health check` });
  };
  const learn = (addresses: readonly Address[]) => {
    if (addresses.length === 0) {
      if (current?.known) grace ??= setTimeout(nobody, graceMs).unref();
      else if (!current) nobody();
      return;
    }
    clearTimeout(grace);
    grace = undefined;
    const text = textOf(addresses);
    // By content: the index also moves when only a check's output does.
    if (text === currentText) return;
    currentText = text;
    tell({ known: true, addresses });
  };

  const run = async (signal: AbortSignal) => {
    let index = 0;
    let failures = 0;
    while (!signal.aborted) {
      const askedMs = performance.now();
      try {
        const answer = await api.passing(service, { index, waitMs, signal });
        if (signal.aborted) return;
        if (failures > 0) log.info({ target: service }, 'Consul is back');
        failures = 0;
        // An index that goes backwards comes from another Consul: a restart without its data, or a restored one.
        index = answer.index < index ? 0 : answer.index;
        learn(answer.addresses);
        const early = leastMs - (performance.now() - askedMs);
        if (early > 0) await pause(early, signal);
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        if (failures === 1) {
          log.warn({ target: service, err: error }, 'Consul is away: going on with the instances known last');
          if (!current) tell({ known: false, why: `Consul cannot be asked for ${service}` });
        }
        // An agent that comes back may have forgotten everything, its index too.
        index = 0;
        await pause(fullJitter(backoff, Math.min(failures, 10), 0.5 + random() / 2), signal);
      }
    }
  };

  const start = () => {
    running = new AbortController();
    // It ends by its signal only; what it throws then is that signal.
    run(running.signal).catch(() => {});
  };
  const stop = () => {
    running?.abort();
    running = undefined;
    clearTimeout(grace);
    grace = undefined;
  };

  return {
    subscribe: (listener) => {
      listeners.add(listener);
      if (running) {
        queueMicrotask(() => {
          if (current && listeners.has(listener)) listener(current);
        });
      } else {
        // Errors of an earlier time are not worth telling; addresses are, until Consul has answered.
        if (current && !current.known) current = undefined;
        const known = current;
        if (known) queueMicrotask(() => listeners.has(listener) && listener(known));
        start();
      }
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0) stop();
      };
    },
  };
};
