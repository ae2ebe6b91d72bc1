import { AppError, type FieldError } from '@skein/contracts';
import type { CallContext } from '@skein/rpc';
import { personas } from '../domain/persona.ts';
import {
  assigneeOf,
  maxTaskLength,
  maxTasks,
  maxTitleLength,
  type Project,
  type ProjectTask,
  type TaskEnd,
} from '../domain/project.ts';
import type { ProjectSpace, Projects, TurnStore } from './ports.ts';
import type { ProjectInput, ProjectPorts, Step } from './run-project.ts';

/** A project as one asks for it. */
export interface NewProject {
  readonly space: string;
  readonly title: string;
  /** Persona empty: whoever suits. */
  readonly tasks: readonly { readonly text: string; readonly persona: string }[];
}

/** What projects are made of. */
export interface ProjectDeps {
  readonly projects: Projects;
  readonly space: ProjectSpace;
  readonly store: Pick<TurnStore, 'get' | 'requestCancel'>;
  readonly newId: () => string;
  /** Resolves after a time, or when the signal aborts. */
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
}

const personOf = ({ actor }: CallContext): string => {
  if (!actor) throw new AppError('unauthenticated');
  return actor.userId;
};

/** Whatever session-sync would refuse is refused here, where the person still hears of it. */
const faultsOf = ({ title, tasks }: NewProject): FieldError[] => {
  const errors: FieldError[] = [];
  const check = (path: string, text: string) => {
    if (text.trim() === '') errors.push({ path, message: 'must not be empty' });
    if (text.includes('\u0000')) errors.push({ path, message: 'must not contain U+0000' });
  };
  check('title', title);
  if (title.length > maxTitleLength)
    errors.push({ path: 'title', message: `must be at most ${maxTitleLength} characters long` });
  if (tasks.length === 0 || tasks.length > maxTasks)
    errors.push({ path: 'tasks', message: `must be 1 to ${maxTasks} tasks` });
  for (const [at, { text, persona }] of tasks.slice(0, maxTasks).entries()) {
    const path = `tasks.${at}.text`;
    check(path, text);
    if (text.length > maxTaskLength)
      errors.push({ path, message: `must be at most ${maxTaskLength} characters long` });
    if (persona !== '' && !personas.some(({ id }) => id === persona))
      errors.push({
        path: `tasks.${at}.persona`,
        message: `must be one of ${personas.map(({ id }) => id).join(', ')}`,
      });
  }
  return errors;
};

/** Beginning projects, and cancelling them. */
export const projectUseCases = ({
  projects,
  space,
  newId,
}: {
  readonly projects: Pick<Projects, 'begin' | 'cancel'>;
  readonly space: Pick<ProjectSpace, 'find'>;
  readonly newId: () => string;
}) => ({
  /** What becomes of it is told by its saga and by its documents in the space. */
  start: async (
    given: NewProject,
    ctx: CallContext,
  ): Promise<{ readonly projectId: string; readonly sagaId: string }> => {
    const userId = personOf(ctx);
    const errors = faultsOf(given);
    if (errors.length > 0) throw new AppError('invalid_request', undefined, { errors });
    const { id, role } = await space.find(given.space, ctx);
    if (role === 'viewer') throw new AppError('forbidden', 'This needs the role editor');
    const tasks = given.tasks.map(
      ({ text, persona }): ProjectTask => ({ id: newId(), text, persona: persona || assigneeOf(text) }),
    );
    const project: Project = { id: newId(), space: id, userId, title: given.title, tasks };
    const { idempotencyKey: key, correlationId } = ctx;
    return projects.begin(project, { key, body: given, correlationId });
  },
  /** Returns what is not done. `saga_state` when it has ended, or is about to. */
  cancel: (id: string, ctx: CallContext): Promise<string> => projects.cancel(id, personOf(ctx)),
});

/** The use cases about projects. */
export type ProjectUseCases = ReturnType<typeof projectUseCases>;

/** Between two looks at a turn that is being answered. */
const lookMs = 250;

/** The steps of a project. */
export const projectSteps = ({ projects, space, store, delay }: ProjectDeps): ProjectPorts => {
  const taskOf = async ({ project }: ProjectInput, at: number): Promise<ProjectTask> => {
    const task = (await projects.get(project)).tasks[at];
    if (!task) throw new AppError('not_found', 'There is no such task');
    return task;
  };
  /** How a turn of this service ended, once it has. */
  const ended = async (turn: string, { signal }: Step): Promise<TaskEnd> => {
    for (;;) {
      const state = (await store.get(turn))?.state;
      if (state === 'done' || state === 'failed' || state === 'cancelled') return state;
      await delay(lookMs, signal);
      signal.throwIfAborted();
    }
  };
  return {
    assign: async (input, step) => space.open(await projects.get(input.project), step),
    giveBack: async (input, step) => space.giveBack(await projects.get(input.project), step),
    doTask: async (input, at, conversation, step) => {
      const task = await taskOf(input, at);
      const { turn, answer } = await space.ask(input, { conversation, task }, step);
      const end = await ended(turn, step);
      await space.settle(input, { id: task.id, end, answer }, step);
      return { turn, answer, end };
    },
    withdraw: async (input, at, turn, step) => {
      await space.withdraw(input, (await taskOf(input, at)).id, step);
      if (turn !== undefined) await store.requestCancel(turn);
    },
    collect: (input, tasks, step) =>
      space.close(
        input,
        {
          done: tasks.filter(({ end }) => end === 'done').length,
          failed: tasks.filter(({ end }) => end === 'failed').length,
          cancelled: tasks.filter(({ end }) => end === 'cancelled').length,
        },
        step,
      ),
  };
};
