import type { DomainEvent } from '@skein/contracts';
import { gapSafe, type OutboxSource, originPosition } from '@skein/events';

interface LogRow extends Record<string, unknown> {
  readonly era: number;
  readonly xid: string;
  readonly seq: number;
  readonly space: string;
  readonly offset: number;
  readonly id: string;
  readonly timeMs: number;
  readonly type: string;
  /** Only of types that leave the service. */
  readonly json: string | null;
  readonly correlationId: string;
  readonly traceparent: string | null;
}

/** The parts of a public event that may leave: ids, never text. */
interface Published {
  readonly actor: { readonly user?: string };
  readonly data: {
    readonly messageId: string;
    readonly conversationId: string;
    readonly turnId?: string;
    readonly persona?: string;
  };
}

const published = ['message.created', 'message.completed'] as const;
/** Clocks of two replicas may differ: looking up a time starts this much earlier. */
const clockSkewMs = 60_000;

const domainEventOf = (row: LogRow): DomainEvent | null => {
  if (row.json === null) return null;
  const { actor, data } = JSON.parse(row.json) as Published;
  const common = {
    id: row.id,
    source: 'session-sync',
    time: row.timeMs,
    subject: row.space,
    correlationId: row.correlationId,
    ...(row.traceparent === null ? {} : { traceparent: row.traceparent }),
    schemaVersion: 1,
  } as const;
  const place = {
    space: row.space,
    offset: row.offset,
    messageId: data.messageId,
    conversationId: data.conversationId,
  };
  if (row.type === 'message.completed')
    return { ...common, type: 'message.completed', data: { ...place, turnId: data.turnId ?? '' } };
  return {
    ...common,
    type: 'message.created',
    data: {
      ...place,
      userId: actor.user ?? '',
      ...(data.turnId === undefined ? {} : { turnId: data.turnId }),
      ...(data.persona === undefined ? {} : { persona: data.persona }),
    },
  };
};

/**
 * The log as the source of domain events: the event table is the outbox. Ordered by (era, xid, global_seq) and read
 * only up to where no open transaction can still write, so nothing is skipped.
 */
export const eventLogSource: OutboxSource = {
  read: async (database, after, limit) => {
    const rows = await database.query<LogRow>(
      {
        name: 'session_sync_outbox',
        text: `select era, xid::text as xid, global_seq as seq, stream as space, "offset", id, time_ms as "timeMs", type,
                 case when type = any($5::text[]) then json end as json, correlation_id as "correlationId", traceparent
               from event
               where (era, xid, global_seq) > ($1, $2::xid8, $3)
                 and (era < (select e.era from event e order by e.era desc limit 1) or ${gapSafe})
               -- With the table's name: a bare xid would be the text in the select list, which sorts otherwise.
               order by event.era, event.xid, event.global_seq limit $4`,
      },
      [after.era, after.xid, after.seq, limit, published],
    );
    return rows.map((row) => ({
      position: { era: row.era, xid: row.xid, seq: row.seq },
      event: domainEventOf(row),
    }));
  },
  before: async (database, timeMs) => {
    const [row] = await database.query<{ era: number; xid: string; seq: number }>(
      `select era, xid::text as xid, global_seq - 1 as seq from event where time_ms >= $1
       order by event.era, event.xid, event.global_seq limit 1`,
      [timeMs - clockSkewMs],
    );
    if (row) return row;
    // Nothing that new: everything from the first transaction on that may still be open.
    const [end] = await database.query<{ era: number; xid: string; seq: number }>(
      `select coalesce((select e.era from event e order by e.era desc limit 1), 1) as era,
         pg_snapshot_xmin(pg_current_snapshot())::text as xid, -1 as seq`,
    );
    return end ?? originPosition;
  },
};
