import { type projectWorkV1, type syncV1, toAppError } from '@skein/contracts';
import { type CallContext, deriveContext, type RpcClient } from '@skein/rpc';
import { must } from '@skein/service-kit';
import type { ProjectSpace } from '../app/ports.ts';
import type { ProjectInput, Step } from '../app/run-project.ts';

/** The step's call in the name of the person whose project it is. */
const inNameOf = ({ user }: Pick<ProjectInput, 'user'>, { call }: Step): CallContext =>
  deriveContext(call, { actor: { userId: user, scopes: [] } });

/** A space that is gone has nothing to change; the step that asks for something there is told so. */
const unlessGone = async (work: Promise<unknown>): Promise<void> => {
  try {
    await work;
  } catch (error) {
    if (toAppError(error).code !== 'not_found') throw error;
  }
};

/** Spaces over session-sync's gRPC API. */
export const grpcProjectSpace = (
  sync: Pick<RpcClient<typeof syncV1.SyncServiceService>, 'getSpace'>,
  work: RpcClient<typeof projectWorkV1.ProjectWorkServiceService>,
): ProjectSpace => ({
  find: async (name, ctx) => {
    const { id, role } = must(
      (await sync.getSpace({ space: name }, ctx)).space,
      'session-sync tells the space',
    );
    return { id, role };
  },
  open: async ({ id: projectId, space, userId: user, title, tasks }, step) => {
    const opened = await work.openProject(
      { space, projectId, title, tasks: [...tasks] },
      inNameOf({ user }, step),
    );
    return { conversation: opened.conversationId };
  },
  giveBack: ({ id: projectId, space, userId: user, tasks }, step) =>
    unlessGone(
      work.returnProject({ space, projectId, taskIds: tasks.map(({ id }) => id) }, inNameOf({ user }, step)),
    ),
  ask: async (where, { conversation: conversationId, task }, step) => {
    const { space } = where;
    const { turnId, answerId } = await work.askTask({ space, conversationId, task }, inNameOf(where, step));
    return { turn: turnId, answer: answerId };
  },
  withdraw: (where, taskId, step) =>
    unlessGone(work.withdrawTask({ space: where.space, taskId }, inNameOf(where, step))),
  settle: (where, { id: taskId, end: state, answer: answerId }, step) =>
    unlessGone(work.settleTask({ space: where.space, taskId, state, answerId }, inNameOf(where, step))),
  close: (where, counts, step) =>
    unlessGone(
      work.closeProject({ space: where.space, projectId: where.project, ...counts }, inNameOf(where, step)),
    ),
});
