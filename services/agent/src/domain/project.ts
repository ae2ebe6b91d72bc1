import { defaultPersona, personas } from './persona.ts';

/** Tasks of one project: what one person overlooks, and one conversation holds. */
export const maxTasks = 12;

/** Longest title in UTF-16 code units: its conversation has the same, and session-sync keeps no longer one. */
export const maxTitleLength = 200;
/** Longest task in characters. */
export const maxTaskLength = 1_000;

/** Something to do, and who does it. */
export interface ProjectTask {
  readonly id: string;
  readonly text: string;
  readonly persona: string;
}

/** A project as it was asked for. */
export interface Project {
  readonly id: string;
  readonly space: string;
  readonly userId: string;
  readonly title: string;
  readonly tasks: readonly ProjectTask[];
}

/** How a task ended. */
export type TaskEnd = 'done' | 'failed' | 'cancelled';

/** Beginnings of the longer words: enough to find "services" for "service". */
const stems = (text: string): ReadonlySet<string> =>
  new Set((text.toLowerCase().match(/\p{L}{4,}/gu) ?? []).map((word) => word.slice(0, 4)));

/** Who does a task nobody was named for: whose description shares the most words with it, or the default one. */
export const assigneeOf = (text: string): string => {
  const wanted = stems(text);
  let best = { id: defaultPersona, shared: 0 };
  for (const { id, description } of personas) {
    const shared = [...stems(description)].filter((stem) => wanted.has(stem)).length;
    if (id !== defaultPersona && shared > best.shared) best = { id, shared };
  }
  return best.id;
};
