import { agentV1, authV1 } from '@skein/contracts';
import { type LiveBus, relay } from '@skein/events';
import { eventAdminService, openPlatform, type Platform, type ServiceServer } from '@skein/platform';
import { groupCommit } from '@skein/postgres';
import { sagaService, sagas } from '@skein/saga';
import { type Clock, type Composed, type Service, systemClock } from '@skein/service-kit';
import { agentPoke } from './adapters/agent-poke.ts';
import { type CollectionPolicies, collectionPolicies } from './adapters/collection-policies.ts';
import { eventLogSource } from './adapters/event-log-source.ts';
import { systemIds, systemTimers } from './adapters/ids.ts';
import { liveBusPeers } from './adapters/live-bus-peers.ts';
import { measuredBatcher } from './adapters/measured-batcher.ts';
import { nativeSha256 } from './adapters/native-sha256.ts';
import { postgresConflicts } from './adapters/postgres-conflicts.ts';
import { postgresDevices } from './adapters/postgres-devices.ts';
import { postgresDocuments } from './adapters/postgres-documents.ts';
import { postgresHealthRecords } from './adapters/postgres-health-records.ts';
import { postgresHistory } from './adapters/postgres-history.ts';
import { postgresInvitations } from './adapters/postgres-invitations.ts';
import { postgresPastStates } from './adapters/postgres-past-states.ts';
import { postgresSnapshots } from './adapters/postgres-snapshots.ts';
import { postgresSpaceMaker, postgresSpaceReads } from './adapters/postgres-space-reads.ts';
import { postgresSpaceStore } from './adapters/postgres-space-store.ts';
import { postgresStateHashes } from './adapters/postgres-state-hashes.ts';
import { postgresSweeps } from './adapters/postgres-sweeps.ts';
import { migrations } from './adapters/schema.ts';
import { healthRecordUseCases, type RecordingParts, recordingSteps } from './app/health-records.ts';
import { createFeeds } from './app/live/feeds.ts';
import { createHub, type LiveHub } from './app/live/live-hub.ts';
import { createPresence } from './app/live/presence.ts';
import type { AppParts } from './app/parts.ts';
import { periodic } from './app/periodic.ts';
import { spaceNames } from './app/personal-space.ts';
import type { Ids, Timers } from './app/ports.ts';
import { recordHealthData } from './app/record-health-data.ts';
import { recording } from './app/recording.ts';
import { sessionApp } from './app/session-app.ts';
import { createSightings } from './app/sightings.ts';
import { sweepUseCase } from './app/sweep.ts';
import { createWriter, type Writer } from './app/writer.ts';
import type { Config } from './config.ts';
import { syncImplementation } from './grpc/handlers.ts';
import { healthRecordService } from './grpc/health-records.ts';

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

const headCheckMs = 2_000;
const presenceSweepMs = 1_000;
/** Peers believe what they were told for 10 s. */
const presenceAnnounceMs = 3_000;
const checkpointMs = 1_000;
/** Departures noted together in one statement. */
const maxDepartures = 10_000;

/** Joins the parts; the only place where adapters are made. */
export const compose = async (config: Config, over: Overrides = {}): Promise<SessionSync> => {
  const platform = over.platform ?? (await openPlatform('session-sync', config));
  const { log, metrics, instance } = platform;
  const clock = over.clock ?? systemClock;
  const timers = over.timers ?? systemTimers;
  const ids = over.ids ?? systemIds;
  const database = platform.database(migrations);
  const { bus, live: opened } = platform.events();
  const live = over.live ?? opened;
  const policies = over.policies ?? collectionPolicies(JSON.parse(config.COLLECTION_POLICIES) as unknown);
  const reads = postgresSpaceReads(database);
  const devices = postgresDevices(database);
  const maker = postgresSpaceMaker(database);
  const pastStates = postgresPastStates(database);
  const agent = platform.client(agentV1.AgentServiceService, 'agent', { retryable: ['startTurn'] });

  const peers = liveBusPeers(live, instance, () => ({
    offer: (batch) => hub.feeds.offer(batch),
    pass: (passing) => hub.pass(passing),
    presence: (space, from, present) => hub.presence.peer(space, from, present),
    openedElsewhere: (socket) => hub.presence.openedElsewhere(socket),
    presenceAsked: (space) => peers.presence(space, hub.presence.own(space)),
  }));
  const hub: LiveHub = createHub(
    createFeeds({
      reads,
      timers,
      failed: (error) => log.warn({ err: error }, 'a feed could not be read again'),
      opened: (space) => peers.follow(space),
      closed: (space) => peers.leave(space),
    }),
    createPresence({
      clock,
      timers,
      changed: (space, own) => {
        hub.pass({ kind: 'presence', space });
        if (own) peers.presence(space, hub.presence.own(space));
      },
    }),
  );

  metrics.gauge('session_sync_writes_queued', 'Commands waiting for a flush', () => writer.depth.queued);
  metrics.gauge('session_sync_feeds', 'Spaces watched by this process', () => hub.feeds.size);
  const departures: { userId: string; id: string }[] = [];
  const outbox = relay({
    database,
    source: eventLogSource,
    bus,
    name: 'session-sync',
    instance,
    log,
    metrics,
  });
  const races = metrics.counter(
    'session_sync_writes_unusual_total',
    'Writes that lost a race or were read back',
  );
  const events = metrics.counter('session_sync_events_total', 'Events committed to the log, by type');
  const written: Writer = createWriter({
    store: postgresSpaceStore(database),
    batcher: measuredBatcher(groupCommit, metrics),
    ids,
    clock,
    wait: (delayMs) => new Promise((resolve) => timers.after(delayMs, resolve)),
    noticed: (what) => races.add(1, { what }),
    committed: (batch) => {
      for (const one of batch) {
        for (const { type } of one.events) events.add(1, { type });
        hub.feeds.offer(one);
        peers.events(one.space, one.epoch, one.events);
        pastStates.grown(one.space, one.events);
      }
      outbox.wake();
    },
  });
  const writer = recording(written, { sha256: nativeSha256, salt: () => ids.code() });

  const parts: AppParts = {
    writer,
    reads,
    history: postgresHistory(database),
    snapshots: postgresSnapshots(database),
    pastStates,
    stateHashes: postgresStateHashes(database),
    documents: postgresDocuments(database),
    conflicts: postgresConflicts(database),
    invitations: postgresInvitations(database),
    maker,
    devices,
    sightings: createSightings(devices, clock),
    names: spaceNames(maker, ids, clock),
    hub,
    peers,
    ids,
    clock,
    sha256: nativeSha256,
    rulesOf: policies.rulesOf,
    departed: (userId, id) => {
      // One more or less is soon made up for; a queue without a bound would not be.
      if (departures.length < maxDepartures) departures.push({ userId, id });
    },
  };
  const app = sessionApp(parts, { poke: agentPoke(agent, log) });
  const auth = platform.client(authV1.AuthServiceService, 'auth', { retryable: ['getAccount'] });
  const recordingParts: RecordingParts = {
    ...parts,
    appendMessage: app.appendMessage,
    records: postgresHealthRecords(
      database,
      (tx, input, options) => orchestrator.start(tx, recordingSaga, input, options),
      () => orchestrator.wake(),
    ),
  };
  const recordingSaga = recordHealthData(
    recordingSteps(recordingParts, async (userId, call) => {
      await auth.getAccount({ userId }, call);
    }),
  );
  const orchestrator = sagas({ database, definitions: [recordingSaga], instance, log, metrics });
  const sweep = sweepUseCase({
    turns: app.turns,
    sweeps: postgresSweeps(database),
    clock,
    turnTimeoutMs: config.TURN_TIMEOUT_MS,
    retained: policies.retained,
    failed: (error, turnId) => log.warn({ err: error, turnId }, 'an overdue turn could not be ended'),
  });

  const failed = (what: string) => (error: unknown) => log.warn({ err: error }, `${what} failed`);
  const writing: Service = { id: 'writer', run: async () => {}, stop: () => writer.stop() };
  const server = platform.server([
    syncImplementation(app),
    healthRecordService(healthRecordUseCases(recordingParts)),
    sagaService(orchestrator),
    eventAdminService({ database, consumers: [], relay: 'session-sync' }),
  ]);
  const service = platform.lifecycle([
    writing,
    orchestrator,
    outbox,
    periodic('head check', {
      everyMs: headCheckMs,
      timers,
      work: () => hub.feeds.checkHeads(),
      failed: failed('the head check'),
    }),
    periodic('presence sweep', {
      everyMs: presenceSweepMs,
      timers,
      work: () => hub.presence.sweep(),
      failed: failed('the presence sweep'),
    }),
    periodic('presence announcement', {
      everyMs: presenceAnnounceMs,
      timers,
      work: () => {
        for (const space of hub.presence.ownSpaces()) peers.presence(space, hub.presence.own(space));
      },
      failed: failed('the presence announcement'),
    }),
    periodic('departures', {
      everyMs: presenceSweepMs,
      timers,
      work: async () => {
        if (departures.length > 0) await devices.seen(departures.splice(0), clock.now());
      },
      failed: failed('noting departures'),
    }),
    periodic('checkpoints', {
      everyMs: checkpointMs,
      timers,
      work: (signal) => pastStates.checkpoint(signal),
      failed: failed('a checkpoint of past states'),
    }),
    periodic('sweep', { everyMs: config.SWEEP_MS, timers, work: sweep, failed: failed('the sweep') }),
    server,
  ]);
  return { service, log, server };
};
