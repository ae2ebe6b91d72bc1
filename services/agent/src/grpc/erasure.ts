import { AppError, erasureV1 } from '@skein/contracts';
import { type Implementation, implement } from '@skein/rpc';
import type { Erasures } from '../app/ports.ts';

/** `skein.erasure.v1.ErasureService`: decode, one use case, encode. */
export const erasureService = (erasures: Pick<Erasures, 'erasePerson'>): Implementation =>
  implement(
    erasureV1.ErasureServiceService,
    {
      eraseUser: async ({ userId }) => {
        if (userId === '') throw new AppError('invalid_request', 'user_id is required');
        await erasures.erasePerson(userId);
        return {};
      },
    },
    { allow: { eraseUser: ['user'] } },
  );
