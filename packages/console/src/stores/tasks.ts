import { fields, type ShownDocument, str, timeMs } from '@skein/sync-client';
import { defineStore } from 'pinia';
import { computed } from 'vue';
import { useChat } from './chat.ts';
import { useDeps } from './deps.ts';
import { titleIn } from './names.ts';

/** Something to do: one document of the collection `task`. */
export interface Task {
  readonly id: string;
  readonly title: string;
  /** `open` and `done` are the person's; a project's tasks have more. */
  readonly state: string;
  /** Who does it, when it is a project's. */
  readonly persona: string;
  readonly project: boolean;
  readonly createdMs: number;
  readonly waiting: boolean;
}

/** A task's text has at most this many characters: it is a line, not a document. */
export const taskTitleMax = 500;

/** The tasks among the documents, the oldest first. */
export function tasksOf(documents: { readonly [key: string]: ShownDocument }): readonly Task[] {
  return Object.values(documents)
    .filter(({ collection }) => collection === 'task')
    .map(({ id, value, waiting }) => {
      const { state, status, persona, project, createdAt } = fields(value);
      return {
        ...{ id, waiting, title: titleIn(value) || id, state: str(state) || str(status) || 'open' },
        ...{ persona: str(persona), project: str(project) !== '', createdMs: timeMs(createdAt) },
      };
    })
    .toSorted((a, b) => a.createdMs - b.createdMs || (a.id < b.id ? -1 : 1));
}

/** The person's tasks; every change goes through the queue, so it works offline too. */
export const useTasks = defineStore('tasks', () => {
  const { newId } = useDeps();
  const chat = useChat();
  const all = computed(() => tasksOf(chat.documents));
  const open = computed(() => all.value.filter(({ state }) => state !== 'done'));
  const done = computed(() => all.value.filter(({ state }) => state === 'done').toReversed());

  return {
    open,
    done,
    add: (title: string): boolean => {
      const value = { title, state: 'open', createdAt: new Date().toISOString() };
      return chat.change('task', newId(), { op: 'set', path: [], value });
    },
    finish: (id: string, is: boolean) =>
      chat.change('task', id, { op: 'set', path: ['state'], value: is ? 'done' : 'open' }),
    rename: (id: string, title: string) =>
      chat.change('task', id, { op: 'set', path: ['title'], value: title }),
    remove: (id: string) => chat.change('task', id, { op: 'delete', path: [] }),
  };
});
