import { AppError, identityV1 } from '@skein/contracts';
import { type CallContext, type Implementation, implement } from '@skein/rpc';
import type { identityUseCases } from '../app/identities.ts';

/** The person a call acts for. */
const personOf = ({ actor }: CallContext): string => {
  if (!actor) throw new AppError('unauthenticated');
  return actor.userId;
};

/** The channel a call acts for: only these know whose account it is. */
const channelOf = ({ actor }: CallContext): string => {
  if (!actor) throw new AppError('unauthenticated');
  if (!actor.scopes.includes('channel')) throw new AppError('forbidden', 'This is for channels');
  return actor.userId;
};

const gatewayOnly = ['gateway'];

/** `skein.user.v1.IdentityService`: decode, one use case, encode. */
export const identityService = (app: ReturnType<typeof identityUseCases>): Implementation =>
  implement(
    identityV1.IdentityServiceService,
    {
      createLinkCode: (_, ctx) => app.createLinkCode(personOf(ctx)),
      createAccountCode: async ({ account }, ctx) => {
        channelOf(ctx);
        return app.createAccountCode(account);
      },
      linkByCode: ({ code }, ctx) => app.linkByCode(personOf(ctx), code, ctx),
      linkAccount: ({ code, account }, ctx) => app.linkAccount(channelOf(ctx), code, account, ctx),
      listIdentities: async (_, ctx) => ({
        items: (await app.list(personOf(ctx))).map(({ linkedAtMs, ...account }) => ({ account, linkedAtMs })),
      }),
      unlinkIdentity: async ({ platform }, ctx) => {
        await app.unlink(personOf(ctx), platform, ctx);
        return {};
      },
    },
    {
      allow: {
        createLinkCode: gatewayOnly,
        createAccountCode: gatewayOnly,
        linkByCode: gatewayOnly,
        linkAccount: gatewayOnly,
        listIdentities: gatewayOnly,
        unlinkIdentity: gatewayOnly,
      },
    },
  );
