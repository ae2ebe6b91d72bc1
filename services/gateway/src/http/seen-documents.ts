/** What was answered to whom about which document. */
export interface SeenDocuments {
  /** Offset of the document's last change that this device was told of; 0 when it was told of none. */
  offset(userId: string, deviceId: string, documentId: string): number;
  saw(userId: string, deviceId: string, documentId: string, offset: number): void;
}

/** About 2 MB. What is forgotten is settled as a conflict instead of applied: safe, only less pleasant. */
const maxEntries = 10_000;

/**
 * A classic write applies when its device was sent what it replaces. A socket's position says so; a client that
 * only posts was told by the answers to its own posts, and those are kept here, by this replica.
 */
export const seenDocuments = (): SeenDocuments => {
  const offsets = new Map<string, number>();
  const keyOf = (...names: string[]) => JSON.stringify(names);
  return {
    offset: (...names) => offsets.get(keyOf(...names)) ?? 0,
    saw: (userId, deviceId, documentId, offset) => {
      const key = keyOf(userId, deviceId, documentId);
      offsets.delete(key);
      const [oldest] = offsets.keys();
      if (offsets.size >= maxEntries && oldest !== undefined) offsets.delete(oldest);
      offsets.set(key, offset);
    },
  };
};
