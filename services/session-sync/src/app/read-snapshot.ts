import { type Membership, visibleSpace } from './parts.ts';
import type { Call, Snapshots } from './ports.ts';

/** One part of a snapshot, from 1 to `parts`. */
export interface SnapshotPart {
  readonly epoch: string;
  readonly offset: number;
  readonly part: number;
  readonly parts: number;
  readonly json: string;
}

/** The whole state of a space at one offset. What follows in the log after it is applied on top. */
export const readSnapshot = (parts: Membership & { readonly snapshots: Snapshots }) =>
  async function* (call: Call, space: string): AsyncGenerator<SnapshotPart, void> {
    const { id } = await visibleSpace(parts, call, space);
    const snapshot = await parts.snapshots.read(id, call.signal);
    const { epoch, offset, parts: texts } = snapshot;
    try {
      for (const [at, json] of texts.entries())
        yield { epoch, offset, part: at + 1, parts: texts.length, json };
    } finally {
      snapshot.release();
    }
  };
