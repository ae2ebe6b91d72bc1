import { defineSaga } from '@skein/saga/definition';
import { z } from 'zod';
import type { Identities } from './ports.ts';

const input = z.object({ user: z.string(), link: z.string() });

/** Who, and by which code; the account stays with the code. */
export type LinkingInput = z.infer<typeof input>;

/**
 * Links a person with an account on another platform: the code is used up, the account is kept from others, the link
 * is made; or the code is good again and the account free.
 */
export const linkIdentity = (
  identities: Pick<Identities, 'useCode' | 'restoreCode' | 'reserve' | 'release' | 'link'>,
) =>
  defineSaga({ name: 'link-identity', version: 1, input, locks: ({ user }) => [`user:${user}`] })
    .compensatable('useCode', {
      refuseOn: ['not_found', 'step_undone'],
      action: ({ input: { link }, key }) => identities.useCode(link, key),
      compensate: ({ input: { link }, key }) => identities.restoreCode(link, key),
    })
    .compensatable('reserve', {
      refuseOn: ['identity_taken', 'not_found', 'step_undone'],
      action: ({ input: { link }, key }) => identities.reserve(link, key),
      compensate: ({ input: { link }, key }) => identities.release(link, key),
    })
    .pivot('link', {
      action: ({ input: { link }, key, call }) => identities.link(link, key, call.correlationId),
    });
