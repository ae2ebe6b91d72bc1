import { AppError } from '@skein/contracts';
import type { EventBus } from '@skein/events';
import type { Platform } from '@skein/platform';
import type { Database } from '@skein/postgres';
import { type Implementation, identity } from '@skein/rpc';
import { lifecycle, readConfig } from '@skein/service-kit';
import { compose, config } from '@skein/session-sync';
import { createMetrics, type Logger } from '@skein/telemetry';
import { collectionPolicies } from '../../services/session-sync/src/adapters/collection-policies.ts';
import type { Target } from './calls.ts';
import type { Ground } from './disk.ts';
import type { Machine } from './machine.ts';
import type { News } from './news.ts';
import { policies } from './workload.ts';

/** What a replica of session-sync stands on. */
export interface ReplicaOptions {
  readonly ground: Ground;
  readonly machine: Machine;
  readonly database: Database;
  readonly news: News;
  readonly bus: EventBus;
  readonly log: Logger;
  /** Services it calls, by name; the others answer as one that is away does. */
  readonly peers: Readonly<Record<string, object>>;
}

const nobody = () =>
  new Proxy(
    { id: 'nobody', run: async () => {}, stop: async () => {} },
    {
      get: (part, name) =>
        name in part || name === 'then'
          ? Reflect.get(part, name)
          : async () => {
              throw new AppError('unavailable', 'Not part of the simulation');
            },
    },
  );

/** Hex digits in the shape of a UUIDv7: growing with time, random otherwise. */
const uuid = (nowMs: number, random: () => number): string => {
  const time = nowMs.toString(16).padStart(12, '0');
  const digits = Array.from({ length: 18 }, () => Math.floor(random() * 16).toString(16)).join('');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${digits.slice(0, 3)}-8${digits.slice(3, 6)}-${digits.slice(6)}`;
};

/** Read once for all replicas: schemas take long to compile. */
const settings = readConfig(config, {
  ...{ DATABASE_URL: 'postgres://nowhere/none', DISCOVERY_URL: 'static:agent=127.0.0.1:1' },
  ...{ INTERNAL_SECRET: 'x'.repeat(32), COLLECTION_POLICIES: JSON.stringify(policies) },
});
const rules = collectionPolicies(policies);

/** Starts a replica: the service as `main.ts` composes it, on a simulated platform. Resolves when it serves. */
export const startReplica = async (options: ReplicaOptions): Promise<Target> => {
  const { ground, machine, database, news, bus, log, peers } = options;
  const { schedule, random } = ground;
  const now = () => schedule.now() + machine.skewMs;
  let served: readonly Implementation[] = [];
  const platform: Platform = {
    name: 'session-sync',
    instance: machine.name,
    log,
    metrics: createMetrics(),
    identity: identity({ service: 'session-sync', secret: 'x'.repeat(32) }),
    database: () => database,
    events: () => ({ bus, live: news.of(machine) }),
    client: (_definition, name) => (peers[name] ?? nobody()) as never,
    server: (implementations) => {
      served = implementations;
      return { id: 'server', port: 0, managementPort: 0, run: async () => {}, stop: async () => {} };
    },
    lifecycle: (parts) => lifecycle(machine.name, parts),
  };
  const { service } = await compose(settings, {
    policies: rules,
    platform,
    clock: { now },
    timers: {
      after: (delayMs, work) =>
        schedule.after(delayMs, () => {
          if (machine.alive) work();
        }),
    },
    ids: {
      next: () => uuid(now(), random),
      epoch: () => uuid(now(), random).slice(-12),
      code: () => uuid(now(), random),
    },
  });
  await service.run();
  return { machine, implementations: served };
};
