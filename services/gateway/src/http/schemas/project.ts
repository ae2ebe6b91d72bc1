import { z } from 'zod';
import { id } from './basics.ts';
import { sagaState } from './saga.ts';

const task = z.object({
  text: z.string().min(1).max(1_000),
  persona: id.optional().describe('Who does it (GET /v1/personas); whoever suits when left out'),
});

/** POST /v1/spaces/{space}/projects */
export const newProject = z.object({
  title: z.string().trim().min(1).max(200),
  tasks: z.array(task).min(1).max(12).describe('Done in this order, each after the one before it'),
});

/** A project that has begun. */
export const projectBegun = z.object({
  projectId: id.describe(
    'Id of the document it becomes, in the collection `project`; its tasks are in the collection `task`',
  ),
  sagaId: z.string().describe('How far it is: GET /v1/sagas/{id}'),
});

/** The saga of a project that is being cancelled; 409 `saga_state` when there was nothing left to cancel. */
export const projectCancelled = sagaState;
