import type { Clients } from '../../ports.ts';
import { type Route, route } from '../route.ts';
import { erasureBegun, removal, userPath } from '../schemas/account.ts';
import { sagaRef } from './sagas.ts';

/** What operators do about people. */
export const peopleRoutes = ({ user }: Pick<Clients, 'user'>): Route[] => [
  route({
    method: 'delete',
    path: '/v1/admin/users/{user}',
    repeat: 'harmless',
    tag: 'admin',
    summary: 'Erases a person everywhere, for good',
    access: 'operator',
    params: userPath,
    body: removal,
    status: 202,
    response: erasureBegun,
    handle: async ({ params, body: { reason }, ctx }) => {
      const { sagaId } = await user.eraseUser({ userId: params.user, reason }, ctx);
      return { sagaId: sagaRef('user', sagaId) };
    },
  }),
];
