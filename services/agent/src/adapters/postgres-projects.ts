import { createHash } from 'node:crypto';
import { AppError } from '@skein/contracts';
import { type Database, idempotent, type Tx } from '@skein/postgres';
import type { Projects } from '../app/ports.ts';
import type { ProjectInput } from '../app/run-project.ts';
import type { Project, ProjectTask } from '../domain/project.ts';

/** The sagas of projects. */
export interface ProjectSagas {
  /** Starts one if the transaction commits. */
  start(
    tx: Tx,
    input: ProjectInput,
    tasks: number,
    options: { readonly subject: string; readonly correlationId: string },
  ): Promise<{ readonly id: string }>;
  /** Told after each commit. */
  started(): void;
  /** Gives the state it has then. */
  cancel(id: string, by: string): Promise<string>;
}

/** Rows of one sweep; the rest is the next one's. */
const rowsPerSweep = 1_000;

/** The database refuses anything else loudly. */
const uuidShape = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

interface ProjectRow extends Record<string, unknown> {
  readonly id: string;
  readonly space: string;
  readonly userId: string;
  readonly title: string;
  readonly tasks: string;
}

const noProject = () => new AppError('not_found', 'There is no such project');

/** Projects of this service's schema. */
export const postgresProjects = (database: Database, sagas: ProjectSagas): Projects => {
  const insert = (tx: Tx, sagaId: string, { id, space, userId, title, tasks }: Project) =>
    tx.query(
      `insert into project (id, saga_id, space, user_id, title, tasks) values ($1, $2, $3, $4, $5, $6)`,
      [id, sagaId, space, userId, title, JSON.stringify(tasks)],
    );
  return {
    begin: async (project, { key, body, correlationId }) => {
      const { id, space, userId, tasks } = project;
      const answer = await database.transaction(async (tx) => {
        const work = async () => {
          const input = { project: id, space, user: userId };
          const saga = await sagas.start(tx, input, tasks.length, { subject: userId, correlationId });
          await insert(tx, saga.id, project);
          return { projectId: id, sagaId: saga.id };
        };
        if (key === undefined) return work();
        const bodyHash = createHash('sha256').update(JSON.stringify(body)).digest('hex');
        return idempotent(tx, { scope: userId, method: 'StartProject', key, bodyHash }, work);
      });
      sagas.started();
      return answer;
    },
    get: async (id) => {
      const [row] = await database.query<ProjectRow>(
        {
          name: 'project-get',
          text: `select id, space, user_id as "userId", title, tasks from project where id = $1`,
        },
        [id],
      );
      if (!row) throw noProject();
      return { ...row, tasks: JSON.parse(row.tasks) as ProjectTask[] };
    },
    cancel: async (id, userId) => {
      if (!uuidShape.test(id)) throw noProject();
      const [row] = await database.query<{ sagaId: string }>(
        `select saga_id as "sagaId" from project where id = $1 and user_id = $2`,
        [id, userId],
      );
      if (!row) throw noProject();
      return sagas.cancel(row.sagaId, userId);
    },
    forgetEnded: async () => {
      await database.query(
        `delete from project where ctid = any (array(
           select p.ctid from project p where not exists
             (select 1 from saga s where s.id = p.saga_id and s.ended_at is null) limit ${rowsPerSweep}))`,
      );
    },
  };
};
