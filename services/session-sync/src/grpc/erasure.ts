import { erasureV1 } from '@skein/contracts';
import { type CallContext, type Implementation, implement } from '@skein/rpc';
import type { ErasingCall } from '../app/erase-person.ts';
import { checkedText, nameBytes } from '../app/validate.ts';

/** Removes what is kept of a person. */
export type ErasePerson = (
  person: { readonly userId: string; readonly email: string },
  call: ErasingCall & CallContext,
) => Promise<void>;

/** `skein.erasure.v1.ErasureService`: decode, one use case, encode. */
export const erasureService = (erase: ErasePerson): Implementation =>
  implement(
    erasureV1.ErasureServiceService,
    {
      eraseUser: async ({ userId, email }, ctx) => {
        await erase({ userId: checkedText('user_id', userId, { max: nameBytes }), email }, ctx);
        return {};
      },
    },
    { allow: { eraseUser: ['user'] } },
  );
