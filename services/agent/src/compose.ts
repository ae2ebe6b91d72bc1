import { setTimeout as delay } from 'node:timers/promises';
import { syncV1 } from '@skein/contracts';
import { consume } from '@skein/events';
import { configAdminService, eventAdminService, openPlatform, type ServiceServer } from '@skein/platform';
import { pruneIdempotencyKeys } from '@skein/postgres';
import { rootContext } from '@skein/rpc';
import { forgetSagas, participant, sagaService } from '@skein/saga';
import { type Composed, ConfigError, periodic, systemClock } from '@skein/service-kit';
import { withSpan } from '@skein/telemetry';
import { grpcSession } from './adapters/grpc-session.ts';
import { liveCancelSignals } from './adapters/live-cancel-signals.ts';
import { migrations } from './adapters/migrations.ts';
import { offlineModel } from './adapters/offline-model.ts';
import { openAiModel } from './adapters/openai-model.ts';
import { postgresErasures } from './adapters/postgres-erasures.ts';
import { addTurn, postgresTurnStore } from './adapters/postgres-turn-store.ts';
import { turnMetrics } from './adapters/turn-metrics.ts';
import { patientReads } from './app/patient-reads.ts';
import type { Model } from './app/ports.ts';
import { runTurn } from './app/run-turn.ts';
import { turnOf } from './app/turn-of-event.ts';
import { turnWorker } from './app/turn-worker.ts';
import { turns } from './app/turns.ts';
import { projectParts } from './compose/projects.ts';
import type { AgentConfig } from './config.ts';
import { erasureService } from './grpc/erasure.ts';
import { agentHandlers } from './grpc/handlers.ts';

/** A thousand steps of sagas that ended long ago go each time. */
const pruneEveryMs = 600_000;

/** What a test may put in place of the real thing. */
export interface Overrides {
  readonly model?: Model;
}

/** Joins the parts of the agent. */
export const compose = async (
  config: AgentConfig,
  over: Overrides = {},
): Promise<Composed & { readonly server: ServiceServer }> => {
  if (config.AGENT_MODEL_URL !== '' && config.AGENT_MODEL === '') {
    throw new ConfigError(['AGENT_MODEL is required with AGENT_MODEL_URL: the name of the model to use']);
  }
  const platform = await openPlatform('agent', config);
  const { log, metrics } = platform;
  const database = platform.database(migrations);
  const { bus, live } = platform.events();
  const sync = platform.client(syncV1.SyncServiceService, 'session-sync', {
    // Idempotent by turn id, or reads.
    retryable: ['getSpace', 'startTurn', 'endTurn', 'listMessages', 'listDocuments', 'searchMessages'],
  });

  const store = postgresTurnStore(database, {
    instance: platform.instance,
    leaseMs: config.AGENT_TURN_LEASE_MS,
  });
  const session = grpcSession(sync);
  const cancels = liveCancelSignals(live);
  const wait = (ms: number) => delay(ms);
  const reads = patientReads(session, wait);
  const model =
    over.model ??
    (config.AGENT_MODEL_URL === ''
      ? offlineModel({ session: reads, paceMs: () => config.AGENT_OFFLINE_PACE_MS, delay: wait })
      : openAiModel({
          session: reads,
          baseUrl: config.AGENT_MODEL_URL,
          model: config.AGENT_MODEL,
          apiKey: config.AGENT_MODEL_KEY,
        }));
  const noticed = turnMetrics(metrics, systemClock);
  const worker = turnWorker({
    store,
    cancels,
    log,
    metrics,
    maxTurns: () => config.AGENT_MAX_TURNS,
    run: (held, stop, cancelled) =>
      withSpan('turn', { traceparent: held.traceparent, attributes: { 'skein.turn.id': held.id } }, () =>
        runTurn(held, stop, cancelled, {
          store,
          session,
          model,
          log,
          delay: wait,
          turnTimeoutMs: config.AGENT_TURN_TIMEOUT_MS,
          noticed,
          contextFor: ({ id, userId }, timeoutMs, signal) =>
            rootContext({ actor: { userId, scopes: [] }, timeoutMs, signal, correlationId: id }),
        }),
      ),
  });
  const pickUp = consume({
    bus,
    database,
    log,
    metrics,
    consumer: 'agent-turns',
    types: ['message.created'],
    wants: (event) => turnOf(event) !== undefined,
    handle: async (event, tx) => {
      const turn = turnOf(event);
      if (turn) await addTurn(tx, turn);
    },
    committed: () => worker.wake(),
  });
  const app = turns({ store, session, cancels, wake: () => worker.wake(), clock: systemClock, delay: wait });
  const { projects, useCases, orchestrator } = projectParts({
    ...{ platform, database, sync, store },
    turnTimeoutMs: () => config.AGENT_TURN_TIMEOUT_MS,
  });
  const erasures = postgresErasures(database, (subject) =>
    forgetSagas(database, orchestrator, { subject, by: 'erase-user' }),
  );
  const pruning = periodic('pruning', {
    everyMs: pruneEveryMs,
    work: async () => {
      await projects.forgetEnded();
      await participant.prune(database);
      await pruneIdempotencyKeys(database);
    },
    failed: (error) => log.warn({ err: error }, 'pruning failed; it will be tried again'),
  });
  const server = platform.server([
    agentHandlers(app, useCases, erasures),
    erasureService(erasures),
    sagaService(orchestrator),
    eventAdminService({ database, consumers: [pickUp] }),
    configAdminService(platform.instance, config),
  ]);
  return { log, service: platform.lifecycle([worker, pickUp, orchestrator, pruning, server]), server };
};
