/** A map of bounded size that forgets what was not used for longest. */
export interface Lru<V> {
  get(key: string): V | undefined;
  set(key: string, value: V): void;
}

/**
 * Two generations: what is read moves to the young one, and when that is full the old one is dropped as a whole.
 * Between `size` and `2 × size` entries, no bookkeeping per hit.
 */
export const lru = <V>(size: number): Lru<V> => {
  let young = new Map<string, V>();
  let old = new Map<string, V>();
  const put = (key: string, value: V) => {
    if (young.size >= size) {
      old = young;
      young = new Map();
    }
    young.set(key, value);
  };
  return {
    get: (key) => {
      const hit = young.get(key);
      if (hit !== undefined) return hit;
      const aged = old.get(key);
      if (aged !== undefined) put(key, aged);
      return aged;
    },
    set: put,
  };
};
