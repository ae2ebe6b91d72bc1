import type { Code } from '@skein/contracts';
import type { CallContext } from '@skein/rpc';
import {
  type BeforePivot,
  type CompensationContext,
  defineSaga,
  type SagaDefinition,
  type StepContext,
} from '@skein/saga/definition';
import { z } from 'zod';
import { maxTasks } from '../domain/project.ts';

const input = z.object({ project: z.string(), space: z.string(), user: z.string() });

/** Which project, where, whose; what is to do stays with the project. */
export type ProjectInput = z.infer<typeof input>;

const opened = z.object({ conversation: z.string() });
const asked = z.object({
  turn: z.string(),
  answer: z.string(),
  end: z.enum(['done', 'failed', 'cancelled']),
});

/** A task that has ended. */
export type TaskOutcome = z.infer<typeof asked>;

/** What an attempt of a step goes by. */
export interface Step {
  readonly signal: AbortSignal;
  /** With the key of the step. */
  readonly call: CallContext;
}

/** What the steps need. Each acts once per key of its step. */
export interface ProjectPorts {
  /** Project and tasks enter the space, each with who does it. */
  assign(input: ProjectInput, step: Step): Promise<z.infer<typeof opened>>;
  /** What nobody has done is returned, and the project cancelled. */
  giveBack(input: ProjectInput, step: Step): Promise<void>;
  /** Has task number `at` done, and waits for its end. */
  doTask(input: ProjectInput, at: number, conversation: string, step: Step): Promise<TaskOutcome>;
  /** Stops it, wherever it is. */
  withdraw(input: ProjectInput, at: number, turn: string | undefined, step: Step): Promise<void>;
  collect(input: ProjectInput, ended: readonly TaskOutcome[], step: Step): Promise<void>;
}

/** Raised when the steps of all of them change. */
const revision = 1;

const refuseOn: readonly Code[] = ['not_found', 'forbidden', 'invalid_request', 'too_large', 'step_undone'];

interface Assigned {
  readonly assign: z.infer<typeof opened>;
}

/**
 * Runs a project of so many tasks: assigns them, has them done one after the other, each a step of its own, and
 * collects. Cancelling it returns what is not done. Steps are data, so each number of tasks is a version of its own:
 * revision × 100 + tasks.
 */
const runProject = (
  tasks: number,
  ports: ProjectPorts,
  taskTimeoutMs: () => number,
): SagaDefinition<ProjectInput, Assigned> => {
  const begun = defineSaga({ name: 'run-project', version: revision * 100 + tasks, input }).compensatable(
    'assign',
    {
      output: opened,
      refuseOn,
      action: (ctx) => ports.assign(ctx.input, ctx),
      compensate: (ctx) => ports.giveBack(ctx.input, ctx),
    },
  );
  const names = Array.from({ length: tasks }, (_, at) => `task${at + 1}`);
  const worked = names.reduce<BeforePivot<ProjectInput, Assigned>>(
    (saga, name, at) =>
      saga.compensatable(name, {
        output: asked,
        refuseOn,
        timeoutMs: taskTimeoutMs,
        action: (ctx: StepContext<ProjectInput, Assigned>) =>
          ports.doTask(ctx.input, at, ctx.results.assign.conversation, ctx),
        compensate: (ctx: CompensationContext<ProjectInput, Assigned, TaskOutcome>) =>
          ports.withdraw(ctx.input, at, ctx.output?.turn, ctx),
      }),
    begun,
  );
  return worked.retriable('collect', {
    action: (ctx) => {
      // What the compiler cannot count: one output a task.
      const results: Readonly<Record<string, unknown>> = { ...ctx.results };
      return ports.collect(
        ctx.input,
        names.map((name) => asked.parse(results[name])),
        ctx,
      );
    },
  });
};

/** The definitions for every number of tasks: the first is for one. What a task may take is asked as each one begins. */
export const runProjects = (
  ports: ProjectPorts,
  taskTimeoutMs: () => number,
): readonly SagaDefinition<ProjectInput, Assigned>[] =>
  Array.from({ length: maxTasks }, (_, at) => runProject(at + 1, ports, taskTimeoutMs));
