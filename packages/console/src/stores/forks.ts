import { type Ref, shallowRef } from 'vue';

/** The forks that a person makes, one at a time. */
export interface Forks {
  /** One is under way. */
  readonly busy: Readonly<Ref<boolean>>;
  /** Makes one; nothing while another is under way. Tried again, it is the same fork: a lost answer makes no second one. */
  make(messageId: string, fork: (key: string) => Promise<void>): Promise<void>;
}

/** Gives every fork its key, which stays until it is known to be made. */
export function createForks(newId: () => string): Forks {
  const busy = shallowRef(false);
  let unknown: { readonly messageId: string; readonly key: string } | undefined;
  return {
    busy,
    make: async (messageId, fork) => {
      if (busy.value) return;
      busy.value = true;
      if (unknown?.messageId !== messageId) unknown = { messageId, key: newId() };
      try {
        await fork(unknown.key);
        unknown = undefined;
      } finally {
        busy.value = false;
      }
    },
  };
}
