import { AppError } from '@skein/contracts';
import type { LoggedEvent } from '../domain/event.ts';
import { type AppParts, visibleSpace } from './parts.ts';
import type { Call } from './ports.ts';
import { checkedInteger, pageLimit } from './validate.ts';

/** Some of a log. */
export interface EventPage {
  readonly epoch: string;
  readonly head: number;
  readonly floor: number;
  readonly events: readonly LoggedEvent[];
}

/** What is asked for; an empty epoch takes whatever there is. */
export interface EventRange {
  readonly space: string;
  readonly epoch: string;
  /** Exclusive. */
  readonly after: number;
  readonly limit: number;
}

/** A page stays below the 4 MB of a gRPC message; the caller asks again from its last event. */
const pageBytes = 3_000_000;

/** Events after a position, oldest first. Errors: `position_lost` with epoch, head and floor. */
export const readEvents =
  (parts: AppParts) =>
  async (call: Call, range: EventRange): Promise<EventPage> => {
    const after = checkedInteger('after', range.after, 0, Number.MAX_SAFE_INTEGER);
    const limit = pageLimit(range.limit, 200, 1_000);
    const { id, epoch, head, floor } = await visibleSpace(parts, call, range.space);
    if ((range.epoch !== '' && range.epoch !== epoch) || after > head || after < floor - 1)
      throw new AppError('position_lost', undefined, {
        meta: { epoch, head: String(head), floor: String(floor) },
      });
    const events = after === head ? [] : await parts.reads.events(id, after, limit);
    let bytes = 0;
    const fitting = events.findIndex((event, at) => {
      bytes += event.json.length * 3;
      return at > 0 && bytes > pageBytes;
    });
    // The head may have been read before the newest of these events.
    const newest = Math.max(head, events.at(-1)?.offset ?? 0);
    return { epoch, head: newest, floor, events: fitting < 0 ? events : events.slice(0, fitting) };
  };
