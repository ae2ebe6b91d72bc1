/**
 * Joins look-ups made in the same turn of the event loop into one: when thousands follow at once, as after a
 * reconnect, they cost a few queries. Resolves with what `loadMany` found for the key; a failure is everybody's.
 */
export const coalesce = <V>(
  max: number,
  loadMany: (keys: readonly string[]) => Promise<ReadonlyMap<string, V>>,
): ((key: string) => Promise<V | undefined>) => {
  let keys = new Set<string>();
  let batch: Promise<ReadonlyMap<string, V>> | undefined;
  return async (key) => {
    if (!batch || keys.size >= max) {
      const own = new Set<string>();
      keys = own;
      batch = new Promise((resolve, reject) => {
        setImmediate(() => {
          if (keys === own) batch = undefined;
          loadMany([...own]).then(resolve, reject);
        });
      });
    }
    keys.add(key);
    return (await batch).get(key);
  };
};
