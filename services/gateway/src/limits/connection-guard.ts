import { addressKey } from '../http/address.ts';
import type { ConnectionGuard } from '../ports.ts';

/** When a refused client may come again: connections that wait are cut within seconds. */
const retryAfterMs = 5_000;

/** Counts, per address, the connections that have not signed in; the one above `max()` is refused. */
export const connectionGuard = (max: () => number): ConnectionGuard => {
  const waiting = new Map<string, number>();
  const keys = new WeakMap<object, string>();
  return {
    admit: (connection, address) => {
      if (keys.has(connection)) return { ok: true };
      const key = addressKey(address);
      const count = waiting.get(key) ?? 0;
      if (count >= max()) return { ok: false, retryAfterMs };
      keys.set(connection, key);
      waiting.set(key, count + 1);
      return { ok: true };
    },
    settle: (connection) => {
      const key = keys.get(connection);
      if (key === undefined || key === settled) return;
      // It stays known: a connection that has signed in is not counted again.
      keys.set(connection, settled);
      const left = (waiting.get(key) ?? 1) - 1;
      if (left > 0) waiting.set(key, left);
      else waiting.delete(key);
    },
  };
};

/** No address looks like this. */
const settled = 'settled';
