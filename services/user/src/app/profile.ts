import { AppError } from '@skein/contracts';
import { must } from '@skein/service-kit';
import { checkChange, type Profile, type ProfileChange } from '../domain/profile.ts';
import type { Accounts, Call, LastLogin, Store } from './ports.ts';

/** A profile and what is known of logins. */
export interface ProfileView extends Profile {
  readonly lastLogin: LastLogin | undefined;
}

interface Deps<C> {
  readonly store: Store;
  readonly accounts: Accounts<C>;
}

/**
 * The profile of a person, made from the account when it is asked for the first time: right after the
 * registration, before any event has arrived. Many at once make one. `not_found` when there is no such account.
 */
export const ensureProfile =
  <C>({ store, accounts }: Deps<C>) =>
  async (userId: string, call: C): Promise<Profile> => {
    const known = await store.profiles.byId(userId);
    if (known) return known;
    const { email, displayName, createdAtMs } = await accounts.byId(userId, call);
    await store.profiles.add({ userId, email, displayName, createdAtMs, locale: '', timezone: '' });
    return must(await store.profiles.byId(userId), 'a profile vanished');
  };

const viewOf = async (store: Store, profile: Profile): Promise<ProfileView> => ({
  ...profile,
  lastLogin: await store.logins.last(profile.userId),
});

/** The profile and the last login of a person. */
export const getProfile =
  <C extends Call>(deps: Deps<C>) =>
  async (userId: string, call: C): Promise<ProfileView> =>
    viewOf(deps.store, await ensureProfile(deps)(userId, call));

/** Changes the given fields; `invalid_request` names every wrong one and then changes nothing. */
export const updateProfile =
  <C extends Call>(deps: Deps<C>) =>
  async (userId: string, change: ProfileChange, call: C): Promise<ProfileView> => {
    const checked = checkChange(change);
    if ('faults' in checked) throw new AppError('invalid_request', undefined, { errors: checked.faults });
    await ensureProfile(deps)(userId, call);
    await deps.store.transaction(async (repositories) => {
      const request = { userId, method: 'UpdateProfile', key: call.idempotencyKey, body: checked.change };
      await repositories.once(request, () => repositories.profiles.change(userId, checked.change));
    }, call.signal);
    return viewOf(deps.store, must(await deps.store.profiles.byId(userId), 'a profile vanished'));
  };
