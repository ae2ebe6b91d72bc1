import type { Json, Op } from '@skein/sync-core';
import { changeAsSeen, type SeenChange } from './change-as-seen.ts';
import { createConversation } from './conversation.ts';
import { type Decision, type Refusal, refuse, requireRole, unchanged } from './decision.ts';
import type { Actor, NewEvent } from './event.ts';
import { type DocumentRow, keyOf, type SpaceState } from './state.ts';

/** Where projects and their tasks are documents. */
export const projectCollection = 'project';
export const taskCollection = 'task';

/** A task, and who does it. */
export interface ProjectTask {
  readonly id: string;
  readonly text: string;
  readonly persona: string;
}

/** How a task ends. */
export type TaskEnd = 'done' | 'failed' | 'cancelled' | 'returned';

/** Tasks by how they ended. */
export interface TaskCounts {
  readonly done: number;
  readonly failed: number;
  readonly cancelled: number;
}

/** What every change needs. */
type Means = Pick<SeenChange, 'actor' | 'nowMs' | 'hashOf' | 'rulesOf'>;

interface Change {
  readonly collection: string;
  readonly id: string;
  readonly ops: readonly Op[];
}

/** The changes in order, after `place` events of the same command. What is refused is told to `refused`. */
const changeAll = (
  state: SpaceState,
  changes: readonly Change[],
  means: Means,
  place: number,
  refused: (refusal: Refusal) => void,
): { readonly events: readonly NewEvent[]; readonly documents: readonly DocumentRow[] } => {
  const events: NewEvent[] = [];
  const documents: DocumentRow[] = [];
  for (const change of changes) {
    const one = changeAsSeen(state, { ...change, ...means }, place + events.length);
    if ('refused' in one) refused(one.refused);
    else {
      events.push(one.event);
      documents.push(one.row);
    }
  }
  return { events, documents };
};

const set = (fields: Readonly<Record<string, Json>>): Op[] =>
  Object.entries(fields).map(([name, value]) => ({ op: 'set', path: [name], value }));

/** A project begins. */
export interface OpenProject extends Means {
  readonly userId: string;
  readonly actor: Actor;
  readonly id: string;
  readonly title: string;
  readonly tasks: readonly ProjectTask[];
  readonly conversationId: string;
}

/** Project and tasks as documents, and a conversation for the answers. */
export const openProject = (
  state: SpaceState,
  { userId, id, title, tasks, conversationId, ...means }: OpenProject,
): Decision<{ readonly conversationId: string }> => {
  const denied = requireRole(state, userId, 'editor');
  if (denied) return denied;
  if (state.documents.has(keyOf(projectCollection, id)))
    return refuse('superseded', 'There is a project with this id already');
  const { actor, nowMs } = means;
  const conversation = createConversation(state, { userId, actor, id: conversationId, title, nowMs });
  if ('refused' in conversation) return conversation;
  const value = { title, state: 'running', conversation: conversationId, tasks: tasks.map((one) => one.id) };
  const changes: Change[] = [
    { collection: projectCollection, id, ops: [{ op: 'set', path: [], value }] },
    ...tasks.map((task): Change => {
      const given = { title: task.text, state: 'assigned', persona: task.persona, project: id };
      return { collection: taskCollection, id: task.id, ops: [{ op: 'set', path: [], value: given }] };
    }),
  ];
  const refusals: Refusal[] = [];
  const made = changeAll(state, changes, means, conversation.events.length, (one) => refusals.push(one));
  const [refused] = refusals;
  if (refused) return { refused };
  return {
    result: { conversationId },
    events: [...conversation.events, ...made.events],
    writes: { ...conversation.writes, documents: made.documents },
  };
};

/** Whether the document is there and in the state `from`: people or an earlier call may have brought it elsewhere. */
const inState = (state: SpaceState, collection: string, id: string, from: string): boolean => {
  const row = state.documents.get(keyOf(collection, id));
  const value: unknown = row && !row.deleted ? JSON.parse(row.value) : undefined;
  return typeof value === 'object' && value !== null && 'state' in value && value.state === from;
};

/** How a project or some of its tasks go on. */
export interface SettleProject extends Means {
  readonly project?: { readonly id: string; readonly to: 'done' | 'cancelled'; readonly counts?: TaskCounts };
  readonly tasks?: readonly { readonly id: string; readonly to: TaskEnd; readonly answer?: string }[];
}

/**
 * Tasks that are assigned and a project that runs end as told. What has ended, was deleted, or has got a schema that
 * does not allow it stays as it is.
 */
export const settleProject = (
  state: SpaceState,
  { project, tasks = [], ...means }: SettleProject,
): Decision<undefined> => {
  const ended = tasks
    .filter(({ id }) => inState(state, taskCollection, id, 'assigned'))
    .map(({ id, to, answer }): Change => {
      const ops = set({ state: to, ...(answer === undefined ? {} : { answer }) });
      return { collection: taskCollection, id, ops };
    });
  const closed: Change[] =
    project && inState(state, projectCollection, project.id, 'running')
      ? [
          {
            collection: projectCollection,
            id: project.id,
            ops: set({
              state: project.to,
              ...(project.counts ? { counts: { ...project.counts } } : {}),
            }),
          },
        ]
      : [];
  const made = changeAll(state, [...ended, ...closed], means, 0, () => {});
  if (made.events.length === 0) return unchanged(undefined);
  return { result: undefined, events: made.events, writes: { documents: made.documents } };
};
