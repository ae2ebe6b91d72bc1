import { agentV1, projectWorkV1, sagaV1, syncV1 } from '@skein/contracts';
import { type Database, type Migration, openDatabase } from '@skein/postgres';
import { testDatabase } from '@skein/postgres/testing';
import { type Actor, type Definition, identity, rootContext, rpcClient } from '@skein/rpc';
import type { SagaDefinition } from '@skein/saga';
import { crashEverywhere } from '@skein/saga/testing';
import { must } from '@skein/service-kit';
import { createMetrics } from '@skein/telemetry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { grpcProjectSpace } from '../../services/agent/src/adapters/grpc-project-space.ts';
import { migrations } from '../../services/agent/src/adapters/migrations.ts';
import { postgresProjects } from '../../services/agent/src/adapters/postgres-projects.ts';
import { postgresTurnStore } from '../../services/agent/src/adapters/postgres-turn-store.ts';
import { projectSteps } from '../../services/agent/src/app/projects.ts';
import { type ProjectInput, runProjects } from '../../services/agent/src/app/run-project.ts';
import { compose as agent } from '../../services/agent/src/compose.ts';
import { config as agentConfig } from '../../services/agent/src/config.ts';
import { migrations as syncMigrations } from '../../services/session-sync/src/adapters/schema.ts';
import { compose as sync } from '../../services/session-sync/src/compose.ts';
import { config as syncConfig } from '../../services/session-sync/src/config.ts';
import { log, member, secret, shortPause, startServices } from './services.ts';

let services: Awaited<ReturnType<typeof startServices>>;
let ofAgent: Database;
let ofSync: Database;
const closing: { stop(): Promise<void> }[] = [];

const clientOf = <D extends Definition>(definition: D, service: string, as: string) => {
  const client = rpcClient(definition, {
    ...{ service, target: services.target(service), identity: identity({ service: as, secret }), log },
    metrics: createMetrics(),
  });
  closing.push(client);
  return client;
};

beforeAll(async () => {
  const { url } = await testDatabase();
  services = await startServices(
    url,
    [
      member('session-sync', syncConfig, sync),
      member('agent', agentConfig, agent, { AGENT_OFFLINE_PACE_MS: '0' }),
    ],
    ['auth'],
  );
  const opened = (schema: string, migrations: readonly Migration[]) =>
    openDatabase({ url, schema, migrations, applicationName: 'test', poolSize: 4 }, { log });
  ofAgent = opened('agent', migrations);
  ofSync = opened('session_sync', syncMigrations);
  closing.push(ofAgent, ofSync);
  await Promise.all([ofAgent.run(), ofSync.run()]);
}, 60_000);
afterAll(async () => {
  for (const one of closing.reverse()) await one.stop();
  await services?.stop();
});

const acting = (userId: string, idempotencyKey?: string) => {
  const actor: Actor = { userId, scopes: ['session'], platform: 'web' };
  return rootContext({ actor, timeoutMs: 10_000, ...(idempotencyKey ? { idempotencyKey } : {}) });
};

/** The documents of a space by their ids. */
const documents = async (userId: string, collection: string) => {
  const { items } = await clientOf(syncV1.SyncServiceService, 'session-sync', 'gateway').listDocuments(
    { space: 'personal', collection, limit: 100, cursor: '' },
    acting(userId),
  );
  return new Map(items.map(({ id, valueJson }) => [id, JSON.parse(valueJson) as Record<string, unknown>]));
};

/** The saga of a project once it has ended. */
const endOf = async (userId: string, id: string) => {
  const sagas = clientOf(sagaV1.SagaServiceService, 'agent', 'gateway');
  let saga: sagaV1.OwnSaga | undefined;
  await expect
    .poll(
      async () => {
        saga = (await sagas.getOwnSaga({ id }, acting(userId))).saga;
        return saga?.state;
      },
      { timeout: 60_000 },
    )
    .toMatch(/^(done|compensated)$/);
  return must(saga, 'a saga');
};

const project = (tasks: readonly string[]): agentV1.StartProjectRequest => ({
  ...{ space: 'personal', title: 'A small project' },
  tasks: tasks.map((text) => ({ text, persona: '' })),
});

describe('a project', () => {
  it('is assigned, done task after task in a conversation of its own, and collected', async () => {
    const gateway = clientOf(agentV1.AgentServiceService, 'agent', 'gateway');
    const asked = {
      ...project(['Design the database schema and the API of a service', 'What do the numbers say?']),
      // The longest there is, in bytes.
      title: '海'.repeat(85),
    };
    const begun = await gateway.startProject(asked, acting('ada', 'key-1'));
    expect(await gateway.startProject(asked, acting('ada', 'key-1'))).toEqual(begun);
    await expect(gateway.startProject(project(['other']), acting('ada', 'key-1'))).rejects.toMatchObject({
      code: 'idempotency_mismatch',
    });
    const saga = await endOf('ada', begun.sagaId);
    expect(saga.state).toBe('done');
    expect(saga.steps.map(({ step, kind }) => `${step} ${kind}`)).toEqual([
      ...['assign done', 'task1 done', 'task2 done', 'collect done'],
    ]);
    const [whole, ...others] = (await documents('ada', 'project')).values();
    expect(others).toEqual([]);
    expect(whole).toMatchObject({
      ...{ title: asked.title, state: 'done', counts: { done: 2, failed: 0, cancelled: 0 } },
      conversation: expect.any(String),
    });
    const tasks = await documents('ada', 'task');
    const ids = whole?.['tasks'] as string[];
    expect(ids.map((id) => tasks.get(id))).toMatchObject([
      { title: asked.tasks[0]?.text, state: 'done', persona: 'backend-dev', project: begun.projectId },
      { title: asked.tasks[1]?.text, state: 'done', persona: 'data-analyst', project: begun.projectId },
    ]);
    const { items } = await clientOf(syncV1.SyncServiceService, 'session-sync', 'gateway').listMessages(
      { space: 'personal', conversationId: String(whole?.['conversation']), limit: 10, cursor: '' },
      acting('ada'),
    );
    expect(items.map(({ role }) => role)).toEqual(['user', 'assistant', 'user', 'assistant']);
    // The answers are those the tasks name.
    expect(items.filter(({ role }) => role === 'assistant').map(({ id }) => id)).toEqual(
      ids.map((id) => tasks.get(id)?.['answer']),
    );
  }, 60_000);

  it('says what is wrong with it, and is nobody else’s', async () => {
    const gateway = clientOf(agentV1.AgentServiceService, 'agent', 'gateway');
    const wrong = {
      ...{ space: 'personal', title: ' ' },
      tasks: [{ text: 'x'.repeat(1_001), persona: 'nobody' }],
    };
    await expect(gateway.startProject(wrong, acting('eve'))).rejects.toMatchObject({
      code: 'invalid_request',
      errors: [{ path: 'title' }, { path: 'tasks.0.text' }, { path: 'tasks.0.persona' }],
    });
    const many = project(Array.from({ length: 13 }, () => 'x'));
    await expect(gateway.startProject(many, acting('eve'))).rejects.toMatchObject({
      errors: [{ path: 'tasks' }],
    });
    const { projectId } = await gateway.startProject(project(['mine']), acting('eve'));
    for (const id of [projectId, 'no id'])
      await expect(gateway.cancelProject({ projectId: id }, acting('mallory'))).rejects.toMatchObject({
        code: 'not_found',
      });
  });
});

/** A project as a crash test begins it: asked for, and its saga is the test's. */
const asked = async (store: ReturnType<typeof postgresProjects>): Promise<ProjectInput> => {
  const user = crypto.randomUUID();
  const { space } = await clientOf(syncV1.SyncServiceService, 'session-sync', 'gateway').getSpace(
    { space: 'personal' },
    acting(user),
  );
  const id = crypto.randomUUID();
  const tasks = [{ id: crypto.randomUUID(), text: 'Think about it', persona: 'cruz' }];
  const of = { id, space: must(space, 'a space').id, userId: user, title: 'Crashed', tasks };
  await store.begin(of, { key: undefined, body: '', correlationId: 'c' });
  return { project: id, space: of.space, user };
};

describe('run-project', () => {
  it('ends done or returned with every effect once, whichever write it is killed at', async () => {
    // Begun by the processes of the crash test, and under a name that the agent beside them does not know.
    const projects = postgresProjects(ofAgent, {
      start: async () => ({ id: crypto.randomUUID() }),
      started: () => {},
      cancel: async () => '',
    });
    const space = grpcProjectSpace(
      clientOf(syncV1.SyncServiceService, 'session-sync', 'agent'),
      clientOf(projectWorkV1.ProjectWorkServiceService, 'session-sync', 'agent'),
    );
    const ports = projectSteps({
      ...{ projects, space, newId: () => crypto.randomUUID() },
      store: postgresTurnStore(ofAgent, { instance: 'test', leaseMs: 10_000 }),
      delay: shortPause,
    });
    const [smallest] = runProjects(ports, () => 30_000);
    const definition: SagaDefinition<ProjectInput> = {
      ...must(smallest, 'a project of one task'),
      name: 'run-project-of-test',
    };
    const report = await crashEverywhere({
      database: ofAgent,
      definition,
      input: () => asked(projects),
      observe: async ({ space: where }) => {
        const rows = await ofSync.query<{ collection: string; value: string }>(
          `select collection, value from document where space = $1 order by collection`,
          [where],
        );
        const events = await ofSync.query<{ type: string; count: number }>(
          `select type, count(*)::int as count from event where stream = $1 group by type order by type`,
          [where],
        );
        const states = rows.map(({ collection, value }) => {
          const { state, counts } = JSON.parse(value) as { state: string; counts?: unknown };
          return counts === undefined ? [collection, state] : [collection, state, counts];
        });
        return { states, events: events.map(({ type, count }) => `${type} ${count}`) };
      },
    });
    const answered = ['message.completed 1', 'message.created 1', 'turn.started 1'];
    expect(report.done).toEqual({
      states: [
        ['project', 'done', { done: 1, failed: 0, cancelled: 0 }],
        ['task', 'done'],
      ],
      events: ['conversation.created 1', 'document.changed 4', ...answered],
    });
    const returned = {
      states: [
        ['project', 'cancelled'],
        ['task', 'returned'],
      ],
      events: ['conversation.created 1', 'document.changed 4'],
    };
    expect(report.compensated).toEqual({
      'refused at assign': { states: [], events: [] },
      'given up at assign': returned,
      'refused at task1': returned,
      'given up at task1': {
        states: [
          ['project', 'cancelled'],
          ['task', 'done'],
        ],
        events: ['conversation.created 1', 'document.changed 4', ...answered],
      },
    });
    expect(report.crashes).toBeGreaterThan(40);
  }, 300_000);
});
