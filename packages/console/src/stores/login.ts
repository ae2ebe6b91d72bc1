import { SignInNeeded } from '@skein/sync-client';
import { defineStore } from 'pinia';
import { ref, shallowRef } from 'vue';
import type { User } from '../rest/tokens.ts';
import { useDeps } from './deps.ts';

/** Set when a person signs out: tabs of theirs that hear of it later keep nothing either. */
const signedOutKey = (user: string): string => `skein.signed-out.${user}`;

/** Who is signed in. `restoring`: a kept login is being tried. */
export const useLogin = defineStore('login', () => {
  const { tokens, api, storage } = useDeps();
  const phase = ref<'restoring' | 'out' | 'in'>(tokens.user !== undefined ? 'restoring' : 'out');
  const user = shallowRef<User>();
  /** The login ended by itself: the sign-in card says so. */
  const ended = ref(false);

  const enter = (who: User): void => {
    user.value = who;
    ended.value = false;
    phase.value = 'in';
    storage.setItem('skein.user', JSON.stringify(who));
  };
  const leave = (byItself: boolean): void => {
    // Another tab may have put somebody else there.
    if (keptUser(storage)?.id === tokens.user) storage.removeItem('skein.user');
    user.value = undefined;
    ended.value = byItself;
    phase.value = 'out';
  };

  /** Goes on with the kept login. Without a network it goes on from what is kept, and connects when it can. */
  const restore = async (): Promise<void> => {
    if (phase.value !== 'restoring') return;
    try {
      enter(await api.me());
    } catch (error) {
      const known = keptUser(storage);
      if (error instanceof SignInNeeded || known?.id !== tokens.user || known === undefined)
        leave(error instanceof SignInNeeded);
      else enter(known);
    }
  };

  const come = (who: User): void => {
    storage.removeItem(signedOutKey(who.id));
    enter(who);
  };
  const signIn = async (email: string, password: string): Promise<void> =>
    come(await tokens.login(email, password));
  const signUp = async (email: string, password: string, displayName: string): Promise<void> =>
    come(await tokens.register(email, password, displayName));
  const signOut = async (): Promise<void> => {
    if (user.value !== undefined) storage.setItem(signedOutKey(user.value.id), '1');
    leave(false);
    try {
      await tokens.logout(false);
    } catch {
      // The login is forgotten here either way, and ends on the server by its age.
    }
  };

  return {
    ...{ phase, user, ended, restore, signIn, signUp, signOut },
    expired: () => leave(true),
    /** Whether the person has signed out in this browser, in whichever tab. */
    signedOut: (id: string): boolean => storage.getItem(signedOutKey(id)) !== null,
    /** Whether a change of the storage is this person signing out in another tab. */
    isSignOut: ({ key, newValue }: Pick<StorageEvent, 'key' | 'newValue'>): boolean =>
      user.value !== undefined && key === signedOutKey(user.value.id) && newValue !== null,
  };
});

function keptUser(storage: Storage): User | undefined {
  try {
    return (JSON.parse(storage.getItem('skein.user') ?? 'null') as User | null) ?? undefined;
  } catch {
    return undefined; // Not ours: as if nothing were kept.
  }
}
