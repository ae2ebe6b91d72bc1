import { must } from '@skein/service-kit';
import { z } from 'zod';
import type { Clients } from '../../ports.ts';
import { type Route, route } from '../route.ts';
import { id, spaceId } from '../schemas/basics.ts';
import { newProject, projectBegun, projectCancelled } from '../schemas/project.ts';
import { sagaRef } from './sagas.ts';

/** Projects whose tasks the agent does. */
export const projectRoutes = ({ agent }: Pick<Clients, 'agent'>): Route[] => [
  route({
    method: 'post',
    path: '/v1/spaces/{space}/projects',
    repeat: 'key',
    tag: 'projects',
    summary: 'Begins a project: its tasks are assigned, done one after the other, and collected',
    access: 'documents:write',
    params: z.object({ space: spaceId }),
    body: newProject,
    status: 202,
    response: projectBegun,
    limit: (limits, { principal }) => limits.message(must(principal, 'signed in').userId),
    handle: async ({ params: { space }, body: { title, tasks }, ctx }) => {
      const request = {
        ...{ space, title },
        tasks: tasks.map(({ text, persona = '' }) => ({ text, persona })),
      };
      const { projectId, sagaId } = await agent.startProject(request, ctx);
      return { projectId, sagaId: sagaRef('agent', sagaId) };
    },
  }),
  route({
    method: 'post',
    path: '/v1/spaces/{space}/projects/{project}/cancel',
    repeat: 'harmless',
    tag: 'projects',
    summary: 'Cancels a project of your own: what is not done is returned',
    access: 'documents:write',
    params: z.object({ space: spaceId, project: id }),
    status: 202,
    response: projectCancelled,
    limit: (limits, { principal }) => limits.message(must(principal, 'signed in').userId),
    handle: async ({ params: { project: projectId }, ctx }) => {
      const { state } = await agent.cancelProject({ projectId }, ctx);
      return { state: state as z.infer<typeof projectCancelled>['state'] };
    },
  }),
];
