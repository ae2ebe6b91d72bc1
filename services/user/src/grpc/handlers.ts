import { AppError, userV1 } from '@skein/contracts';
import { type CallContext, type Handlers, type Implementation, implement } from '@skein/rpc';
import type { eraseMe, eraseSomebody } from '../app/ask-erasure.ts';
import type { listNotices } from '../app/list-notices.ts';
import type { getProfile, ProfileView, updateProfile } from '../app/profile.ts';
import type { Notice } from '../domain/notice.ts';

/** The use cases behind the service. */
export interface UserApp {
  readonly getProfile: ReturnType<typeof getProfile<CallContext>>;
  readonly updateProfile: ReturnType<typeof updateProfile<CallContext>>;
  readonly listNotices: ReturnType<typeof listNotices>;
  readonly eraseMe: ReturnType<typeof eraseMe<CallContext>>;
  readonly eraseSomebody: ReturnType<typeof eraseSomebody<CallContext>>;
}

/** The person a call acts for; `unauthenticated` for a call on behalf of nobody. */
const personOf = ({ actor }: CallContext): string => {
  if (!actor) throw new AppError('unauthenticated');
  return actor.userId;
};

/** The operator a call acts for; auth acts for itself. */
const operatorOf = ({ actor, caller }: CallContext): string => {
  if (caller === 'auth' && !actor) return caller;
  if (!actor) throw new AppError('unauthenticated');
  if (!actor.scopes.includes('operator')) throw new AppError('forbidden', 'This is for operators');
  return actor.userId;
};

const toProfile = ({ lastLogin, ...profile }: ProfileView): userV1.Profile => ({
  ...profile,
  lastLoginAtMs: lastLogin?.atMs ?? 0,
  lastLoginPlatform: lastLogin?.platform ?? '',
});

const toNotice = ({ id, kind, timeMs, data }: Notice): userV1.Notice => ({
  id,
  kind,
  timeMs,
  dataJson: JSON.stringify(data),
});

const handlersOf = (app: UserApp): Handlers<typeof userV1.UserServiceService> => ({
  getProfile: async (_, ctx) => ({ profile: toProfile(await app.getProfile(personOf(ctx), ctx)) }),
  updateProfile: async (change, ctx) => ({
    profile: toProfile(await app.updateProfile(personOf(ctx), change, ctx)),
  }),
  listNotices: async ({ limit, cursor }, ctx) => {
    const page = { limit, cursor: cursor === '' ? undefined : cursor };
    const { items, next } = await app.listNotices(personOf(ctx), page);
    return { items: items.map(toNotice), next: next ?? '' };
  },
  eraseMe: ({ password }, ctx) => app.eraseMe(personOf(ctx), password, ctx),
  eraseUser: ({ userId, reason }, ctx) => app.eraseSomebody({ userId, by: operatorOf(ctx), reason }, ctx),
});

/** People come through the gateway; auth makes the first touch of who registers, and takes a registration back. */
const gatewayOnly = ['gateway'];
const allow = {
  getProfile: ['gateway', 'auth'],
  updateProfile: gatewayOnly,
  listNotices: gatewayOnly,
  eraseMe: gatewayOnly,
  eraseUser: ['gateway', 'auth'],
};

/** `skein.user.v1.UserService`: decode, one use case, encode. */
export const userService = (app: UserApp): Implementation =>
  implement(userV1.UserServiceService, handlersOf(app), { allow });
