import { AppError } from '@skein/contracts';
import { type Membership, visibleSpace } from './parts.ts';
import type { Call, PastStates, Snapshot, Snapshots, SpaceView } from './ports.ts';

/** One part of a snapshot, from 1 to `parts`. */
export interface SnapshotPart {
  readonly epoch: string;
  readonly offset: number;
  readonly part: number;
  readonly parts: number;
  readonly json: string;
}

type Parts = Membership & { readonly snapshots: Snapshots; readonly pastStates: PastStates };

/** A date and time with its zone: without one it would be the server's. */
const momentPattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

/** The offset that `at` names: one of the log, or the last one of a time. */
const offsetOf = async ({ pastStates }: Parts, { id, head }: SpaceView, at: string): Promise<number> => {
  if (/^\d{1,15}$/.test(at)) return Number(at);
  const timeMs = momentPattern.test(at) ? Date.parse(at) : Number.NaN;
  if (Number.isNaN(timeMs))
    throw new AppError(
      'invalid_request',
      'at must be an offset, or a time such as 2026-01-31T12:00:00.000Z',
      {
        errors: [{ path: 'at', message: 'must be an offset or a time' }],
      },
    );
  return Math.min(head, await pastStates.offsetAt(id, timeMs));
};

const snapshotAt = async (
  parts: Parts,
  space: SpaceView,
  at: string,
  signal: AbortSignal,
): Promise<Snapshot> => {
  const { id, epoch, head, floor } = space;
  const offset = await offsetOf(parts, space, at);
  if (offset > head || offset < floor - 1)
    throw new AppError('position_lost', undefined, {
      meta: { epoch, head: String(head), floor: String(floor) },
    });
  return parts.pastStates.read(id, { epoch, offset }, signal);
};

/**
 * The whole state of a space at one offset; without `at` as it is. What follows in the log after it is applied on
 * top. Errors: `position_lost` with epoch, head and floor.
 */
export const readSnapshot = (parts: Parts) =>
  async function* (call: Call, space: string, at = ''): AsyncGenerator<SnapshotPart, void> {
    const visible = await visibleSpace(parts, call, space);
    const snapshot = await (at === ''
      ? parts.snapshots.read(visible.id, call.signal)
      : snapshotAt(parts, visible, at, call.signal));
    const { epoch, offset, parts: texts } = snapshot;
    try {
      for (const [at, json] of texts.entries())
        yield { epoch, offset, part: at + 1, parts: texts.length, json };
    } finally {
      snapshot.release();
    }
  };
