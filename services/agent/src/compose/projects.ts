import { setTimeout as delay } from 'node:timers/promises';
import { projectWorkV1, type syncV1 } from '@skein/contracts';
import type { Platform } from '@skein/platform';
import type { Database } from '@skein/postgres';
import type { RpcClient } from '@skein/rpc';
import { type Sagas, sagas } from '@skein/saga';
import { must } from '@skein/service-kit';
import { v7 as uuidv7 } from 'uuid';
import { grpcProjectSpace } from '../adapters/grpc-project-space.ts';
import { postgresProjects } from '../adapters/postgres-projects.ts';
import type { Projects, TurnStore } from '../app/ports.ts';
import { type ProjectUseCases, projectSteps, projectUseCases } from '../app/projects.ts';
import { runProjects } from '../app/run-project.ts';

/** A task takes as long as its answer, and may have to wait for others before it begins. */
const taskTimeoutFactor = 2;

/** Projects in hand; more wait in the database. Each looks at its answer four times a second. */
const maxProjects = 100;

/** What projects stand on. */
interface Base {
  readonly platform: Platform;
  readonly database: Database;
  readonly sync: RpcClient<typeof syncV1.SyncServiceService>;
  readonly store: TurnStore;
  readonly turnTimeoutMs: () => number;
}

/** Projects: their use cases, and the orchestrator that runs their sagas. */
export const projectParts = ({
  platform,
  database,
  sync,
  store,
  turnTimeoutMs,
}: Base): {
  readonly projects: Projects;
  readonly useCases: ProjectUseCases;
  readonly orchestrator: Sagas;
} => {
  const { log, metrics, instance } = platform;
  const work = platform.client(projectWorkV1.ProjectWorkServiceService, 'session-sync');
  const projects = postgresProjects(database, {
    start: (tx, input, tasks, options) =>
      orchestrator.start(tx, must(definitions[tasks - 1], 'a project of that size'), input, options),
    started: () => orchestrator.wake(),
    cancel: (id, actor) =>
      orchestrator.operate(id, { kind: 'cancel' }, { actor, reason: 'cancelled by the person' }),
  });
  const deps = {
    ...{ projects, space: grpcProjectSpace(sync, work), store, newId: () => uuidv7() },
    delay: (ms: number, signal: AbortSignal) => delay(ms, undefined, { signal }),
  };
  const definitions = runProjects(projectSteps(deps), () => taskTimeoutFactor * turnTimeoutMs());
  const orchestrator = sagas({ database, definitions, instance, log, metrics, maxInHand: maxProjects });
  return { projects, useCases: projectUseCases(deps), orchestrator };
};
