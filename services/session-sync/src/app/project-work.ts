import { AppError } from '@skein/contracts';
import { type Json, valueHash } from '@skein/sync-core';
import type { Actor } from '../domain/event.ts';
import {
  openProject,
  type ProjectTask,
  projectCollection,
  type SettleProject,
  settleProject,
  type TaskCounts,
  type TaskEnd,
  taskCollection,
} from '../domain/project.ts';
import type { AppendMessage } from './messages.ts';
import type { AppParts } from './parts.ts';
import { isId } from './personal-space.ts';
import type { Call } from './ports.ts';
import { questions } from './questions.ts';
import { stepOnce, stepUndone } from './step-once.ts';
import { checkedText, nameBytes, titleBytes } from './validate.ts';

/** A project is what one person overlooks. */
const maxTasks = 20;
const taskBytes = 4_096;

/** What doing projects is made of. */
export type ProjectParts = Pick<AppParts, 'writer' | 'ids' | 'sha256' | 'rulesOf'> & {
  readonly appendMessage: AppendMessage;
};

/** The message that asks for a task, by the task. */
const questionId = (task: string): string => `task-${task}`;

/** What the saga run-project does in a space; each once per key of its step. */
export const projectWork = (parts: ProjectParts) => {
  const { writer, ids, sha256, rulesOf } = parts;
  const asking = questions(parts);

  const means = (call: Call) => ({
    // In the name of the person, and not by one of their devices.
    actor: { kind: 'agent', user: call.userId, platform: 'skein' } satisfies Actor,
    hashOf: (value: Json) => valueHash(value, sha256),
    rulesOf,
  });
  const unitOf = (
    { correlationId, traceparent }: Call,
    space: string,
    project: string | undefined,
    tasks: readonly string[],
  ) => {
    if (![space, ...tasks, ...(project === undefined ? [] : [project])].every(isId))
      throw new AppError('not_found', 'There is no such project');
    return {
      ...{ space, correlationId, traceparent },
      needs: {
        documents: [
          ...(project === undefined ? [] : [{ collection: projectCollection, id: project }]),
          ...tasks.map((id) => ({ collection: taskCollection, id })),
        ],
      },
    };
  };
  const settle = async (
    call: Call,
    space: string,
    { project, tasks = [] }: Pick<SettleProject, 'project' | 'tasks'>,
  ): Promise<void> => {
    const unit = unitOf(
      call,
      space,
      project?.id,
      tasks.map(({ id }) => id),
    );
    const command = { ...(project ? { project } : {}), tasks, ...means(call) };
    await writer.write(
      { ...unit, decide: (state, nowMs) => settleProject(state, { ...command, nowMs }) },
      call.signal,
    );
  };

  return {
    open: async (
      call: Call,
      space: string,
      project: { readonly id: string; readonly title: string; readonly tasks: readonly ProjectTask[] },
    ): Promise<{ readonly conversationId: string }> => {
      const { tasks, id } = project;
      if (tasks.length === 0 || tasks.length > maxTasks)
        throw new AppError('invalid_request', `A project has 1 to ${maxTasks} tasks`);
      const title = checkedText('title', project.title, { max: titleBytes });
      for (const [at, task] of tasks.entries()) {
        checkedText(`tasks[${at}].text`, task.text, { max: taskBytes });
        checkedText(`tasks[${at}].persona`, task.persona, { max: nameBytes });
      }
      const unit = unitOf(
        call,
        space,
        id,
        tasks.map((one) => one.id),
      );
      const conversationId = ids.next();
      const command = { userId: call.userId, id, title, tasks, conversationId, ...means(call) };
      return writer.write(
        stepOnce(
          {
            ...unit,
            needs: { ...unit.needs, members: [call.userId], conversation: conversationId },
            decide: (state, nowMs) => openProject(state, { ...command, nowMs }),
            bytes: 4 * tasks.reduce((sum, { text }) => sum + text.length, title.length),
          },
          call.idempotencyKey,
        ),
        call.signal,
      );
    },
    giveBack: async (
      call: Call,
      space: string,
      { id, tasks }: { readonly id: string; readonly tasks: readonly string[] },
    ): Promise<void> => {
      const command = {
        project: { id, to: 'cancelled' },
        tasks: tasks.map((task) => ({ id: task, to: 'returned' }) as const),
        ...means(call),
      } as const;
      await writer.write(
        stepUndone(unitOf(call, space, id, tasks), call.idempotencyKey, (state, _, nowMs) =>
          settleProject(state, { ...command, nowMs }),
        ),
        call.signal,
      );
    },
    ask: async (
      call: Call,
      space: string,
      { conversationId, task }: { readonly conversationId: string; readonly task: ProjectTask },
    ): Promise<{ readonly turnId: string; readonly answerId: string }> => {
      const { userId: user, platform, signal, correlationId, idempotencyKey: key } = call;
      const { id, persona, text } = task;
      return asking.ask(
        {
          ...{ space, user, platform, device: undefined, id: questionId(id), conversationId, persona, text },
          attachments: JSON.stringify([{ collection: taskCollection, id }]),
        },
        { key, signal, correlationId },
      );
    },
    withdraw: (call: Call, space: string, task: string): Promise<void> => {
      const { userId: user, signal, correlationId, idempotencyKey: key } = call;
      return asking.withdraw({ space, user, id: questionId(task) }, { key, signal, correlationId });
    },
    settle: (
      call: Call,
      space: string,
      { id, to, answer }: { readonly id: string; readonly to: TaskEnd; readonly answer: string },
    ): Promise<void> => settle(call, space, { tasks: [{ id, to, ...(answer === '' ? {} : { answer }) }] }),
    close: (call: Call, space: string, id: string, counts: TaskCounts): Promise<void> =>
      settle(call, space, { project: { id, to: 'done', counts } }),
  };
};
