import { matching } from './matching.ts';
import { defaultPersona, personas } from './persona.ts';

/** Tasks of one project: what one person overlooks, and one conversation holds. */
export const maxTasks = 12;

/** Longest title and longest task, in characters. */
export const maxTitleLength = 200;
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

/** Who does a task nobody was named for: whose description and instructions share the most with it. */
export const assigneeOf = (text: string): string => {
  const candidates = personas.map(({ id, description, instructions }) => ({
    id,
    text: `${description} ${instructions}`,
  }));
  return matching(text, candidates, 1)[0]?.id ?? defaultPersona;
};
