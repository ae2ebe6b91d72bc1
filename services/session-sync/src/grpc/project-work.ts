import { AppError, projectWorkV1 } from '@skein/contracts';
import { type Implementation, implement } from '@skein/rpc';
import type { projectWork } from '../app/project-work.ts';
import { checkedOneOf } from '../app/validate.ts';
import { callOf } from './call.ts';

const ends = ['done', 'failed', 'cancelled'] as const;

const required = (task: projectWorkV1.ProjectTask | undefined): projectWorkV1.ProjectTask => {
  if (!task) throw new AppError('invalid_request', 'task is required');
  return task;
};

/** Sagas of the agent are its only callers. */
const agentOnly = ['agent'];

/** `skein.sync.v1.ProjectWorkService`: decode, one use case, encode. */
export const projectWorkService = (app: ReturnType<typeof projectWork>): Implementation =>
  implement(
    projectWorkV1.ProjectWorkServiceService,
    {
      openProject: async ({ space, projectId: id, title, tasks }, ctx) =>
        app.open(callOf(ctx), space, { id, title, tasks }),
      returnProject: async ({ space, projectId: id, taskIds: tasks }, ctx) => {
        await app.giveBack(callOf(ctx), space, { id, tasks });
        return {};
      },
      askTask: async ({ space, conversationId, task }, ctx) => {
        const { turnId, answerId } = await app.ask(callOf(ctx), space, {
          conversationId,
          task: required(task),
        });
        return { turnId, answerId };
      },
      withdrawTask: async ({ space, taskId }, ctx) => {
        await app.withdraw(callOf(ctx), space, taskId);
        return {};
      },
      settleTask: async ({ space, taskId: id, state, answerId: answer }, ctx) => {
        await app.settle(callOf(ctx), space, { id, to: checkedOneOf('state', state, ends), answer });
        return {};
      },
      closeProject: async ({ space, projectId, done, failed, cancelled }, ctx) => {
        await app.close(callOf(ctx), space, projectId, { done, failed, cancelled });
        return {};
      },
    },
    {
      allow: {
        openProject: agentOnly,
        returnProject: agentOnly,
        askTask: agentOnly,
        withdrawTask: agentOnly,
        settleTask: agentOnly,
        closeProject: agentOnly,
      },
    },
  );
