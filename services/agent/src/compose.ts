import { syncV1 } from '@skein/contracts';
import { configAdminService, eventAdminService, openPlatform, type ServiceServer } from '@skein/platform';
import { pruneIdempotencyKeys } from '@skein/postgres';
import { forgetSagas, participant, sagaService } from '@skein/saga';
import { type Composed, periodic } from '@skein/service-kit';
import { migrations } from './adapters/migrations.ts';
import { postgresErasures } from './adapters/postgres-erasures.ts';
import type { Model } from './app/ports.ts';
import { projectParts } from './compose/projects.ts';
import { checkModel, turnParts } from './compose/turns.ts';
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
  checkModel(config);
  const platform = await openPlatform('agent', config);
  const { log } = platform;
  const database = platform.database(migrations);
  const { bus, live } = platform.events();
  const sync = platform.client(syncV1.SyncServiceService, 'session-sync', {
    // Idempotent by turn id, or reads.
    retryable: ['getSpace', 'startTurn', 'endTurn', 'listMessages', 'listDocuments', 'searchMessages'],
  });

  const { store, worker, pickUp, app } = turnParts({
    ...{ platform, database, bus, live, sync, config },
    model: over.model,
  });
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
