import { agentV1 } from '@skein/contracts';
import type { LiveBus } from '@skein/events';
import {
  configAdminService,
  eventAdminService,
  openPlatform,
  type Platform,
  type ServiceServer,
} from '@skein/platform';
import { sagaService } from '@skein/saga';
import { type Clock, type Composed, liveConfig, systemClock } from '@skein/service-kit';
import { agentPoke } from './adapters/agent-poke.ts';
import { type CollectionPolicies, collectionPolicies } from './adapters/collection-policies.ts';
import { systemIds, systemTimers } from './adapters/ids.ts';
import { migrations } from './adapters/schema.ts';
import type { AppParts } from './app/parts.ts';
import type { Ids, Timers } from './app/ports.ts';
import { projectWork } from './app/project-work.ts';
import { sessionApp } from './app/session-app.ts';
import type { Base } from './compose/base.ts';
import { erasureParts } from './compose/erasure.ts';
import { healthParts } from './compose/health.ts';
import { liveParts } from './compose/live.ts';
import { storeParts } from './compose/stores.ts';
import { departureLog, upkeep } from './compose/upkeep.ts';
import { writingParts } from './compose/writing.ts';
import type { Config } from './config.ts';
import { erasureService } from './grpc/erasure.ts';
import { syncImplementation } from './grpc/handlers.ts';
import { healthRecordService } from './grpc/health-records.ts';
import { projectWorkService } from './grpc/project-work.ts';

/** What tests may put in the place of the real thing. */
export interface Overrides {
  readonly platform?: Platform;
  readonly clock?: Clock;
  readonly timers?: Timers;
  readonly ids?: Ids;
  readonly live?: LiveBus;
  /** To be replaced while the service runs. */
  readonly policies?: CollectionPolicies;
}

/** The composed service. */
export interface SessionSync extends Composed {
  /** Tells the port, once it runs. */
  readonly server: ServiceServer;
}

/** Joins the parts; adapters are made here and in compose/. */
export const compose = async (config: Config, over: Overrides = {}): Promise<SessionSync> => {
  const platform = over.platform ?? (await openPlatform('session-sync', config));
  const { log } = platform;
  const clock = over.clock ?? systemClock;
  const timers = over.timers ?? systemTimers;
  const ids = over.ids ?? systemIds;
  const database = platform.database(migrations);
  const base: Base = { platform, database, clock, timers, ids };
  const events = platform.events();
  const { bus } = events;
  const live = over.live ?? events.live;
  const policies = over.policies ?? collectionPolicies(JSON.parse(config.COLLECTION_POLICIES) as unknown);
  liveConfig(config).onChange('COLLECTION_POLICIES', (json) => policies.replace(JSON.parse(json)));
  const stores = storeParts(base);
  const { reads, devices, pastStates } = stores;
  const departures = departureLog({ devices, clock });
  const { hub, peers } = liveParts(base, reads, live);
  const { writer, writing, outbox } = writingParts(base, { bus, live }, (one) => {
    hub.feeds.offer(one);
    peers.events(one.space, one.epoch, one.events);
    pastStates.grown(one.space, one.events);
  });

  const parts: AppParts = {
    ...stores,
    ...{ writer, hub, peers, rulesOf: policies.rulesOf, departed: departures.departed },
  };
  const agent = platform.client(agentV1.AgentServiceService, 'agent', {
    retryable: ['startTurn', 'forgetTurns'],
  });
  const app = sessionApp(parts, { poke: agentPoke(agent, log) });
  const { records, orchestrator } = healthParts(base, { ...parts, appendMessage: app.appendMessage });
  const server = platform.server([
    syncImplementation(app),
    healthRecordService(records),
    projectWorkService(projectWork({ ...parts, appendMessage: app.appendMessage })),
    sagaService(orchestrator),
    erasureService(erasureParts(base, { writer, bus, agent, orchestrator })),
    eventAdminService({ database, consumers: [], relay: 'session-sync' }),
    configAdminService(platform.instance, config),
  ]);
  const service = platform.lifecycle([
    writing,
    orchestrator,
    outbox,
    ...upkeep(base, parts, {
      turns: app.turns,
      checkpoint: pastStates.checkpoint,
      noteDepartures: departures.note,
      policies,
      config,
    }),
    server,
  ]);
  return { service, log, server };
};
