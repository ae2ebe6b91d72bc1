import { setTimeout as delay } from 'node:timers/promises';
import type { syncV1 } from '@skein/contracts';
import { consume, type EventBus, type LiveBus } from '@skein/events';
import type { Platform } from '@skein/platform';
import type { Database } from '@skein/postgres';
import { type RpcClient, rootContext } from '@skein/rpc';
import { ConfigError, systemClock } from '@skein/service-kit';
import { withSpan } from '@skein/telemetry';
import { grpcSession } from '../adapters/grpc-session.ts';
import { liveCancelSignals } from '../adapters/live-cancel-signals.ts';
import { offlineModel } from '../adapters/offline-model.ts';
import { openAiModel } from '../adapters/openai-model.ts';
import { addTurn, postgresTurnStore } from '../adapters/postgres-turn-store.ts';
import { turnMetrics } from '../adapters/turn-metrics.ts';
import { patientReads } from '../app/patient-reads.ts';
import type { Model } from '../app/ports.ts';
import { runTurn } from '../app/run-turn.ts';
import { turnOf } from '../app/turn-of-event.ts';
import { turnWorker } from '../app/turn-worker.ts';
import { turns } from '../app/turns.ts';
import type { AgentConfig } from '../config.ts';

/** What answering stands on. */
export interface TurnNeeds {
  readonly platform: Platform;
  readonly database: Database;
  readonly bus: EventBus;
  readonly live: LiveBus;
  readonly sync: RpcClient<typeof syncV1.SyncServiceService>;
  readonly config: AgentConfig;
  /** In the place of the one that is configured. */
  readonly model: Model | undefined;
}

/** Refuses an endpoint without the name of a model. */
export const checkModel = (config: AgentConfig): void => {
  if (config.AGENT_MODEL_URL !== '' && config.AGENT_MODEL === '')
    throw new ConfigError(['AGENT_MODEL is required with AGENT_MODEL_URL: the name of the model to use']);
};

/** Answering: the turns in hand, the events that bring them, and what others may ask about them. */
export const turnParts = ({ platform, database, bus, live, sync, config, model: given }: TurnNeeds) => {
  const { log, metrics } = platform;
  const store = postgresTurnStore(database, {
    instance: platform.instance,
    leaseMs: config.AGENT_TURN_LEASE_MS,
  });
  const session = grpcSession(sync);
  const cancels = liveCancelSignals(live);
  const wait = (ms: number) => delay(ms);
  const reads = patientReads(session, wait);
  const model =
    given ??
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
  return { store, worker, pickUp, app };
};
