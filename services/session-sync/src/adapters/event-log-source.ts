import { type DomainEvent, domainEvents } from '@skein/contracts';
import { gapSafe, type OutboxRow, type OutboxSource } from '@skein/events';
import { must } from '@skein/service-kit';
import { logAt } from './log-reads.ts';

interface LogRow extends Record<string, unknown> {
  readonly era: number;
  readonly xid: string;
  readonly seq: number;
  readonly space: string;
  readonly offset: number;
  readonly id: string;
  readonly timeMs: number;
  readonly type: Published;
  /** Only of types that leave the service. */
  readonly json: string | null;
  readonly correlationId: string;
  readonly traceparent: string | null;
}

/** The parts of a public event that may leave: ids, never text. */
interface Leaving {
  readonly actor: { readonly user?: string };
  readonly data: {
    readonly messageId: string;
    readonly conversationId: string;
    readonly turnId?: string;
    readonly persona?: string;
    readonly invitation?: string;
    /** For one person or address; anybody else’s code is passed on by whoever made it. */
    readonly addressed?: true;
  };
}

const published = ['message.created', 'message.completed', 'member.invited'] as const;
type Published = (typeof published)[number];

/** Whether events of this type leave the service. */
export const leaves = (type: string): boolean => published.some((one) => one === type);
/** Clocks of two replicas may differ: looking up a time starts this much earlier. */
const clockSkewMs = 60_000;

const domainEventOf = (row: LogRow): DomainEvent | null => {
  if (row.json === null) return null;
  const { actor, data } = JSON.parse(row.json) as Leaving;
  const common = {
    id: row.id,
    source: 'session-sync',
    time: row.timeMs,
    subject: row.space,
    correlationId: row.correlationId,
    ...(row.traceparent === null ? {} : { traceparent: row.traceparent }),
    schemaVersion: domainEvents[row.type].version,
  } as const;
  if (row.type === 'member.invited') {
    if (!data.addressed) return null;
    const invited = { space: row.space, offset: row.offset, invitationId: data.invitation ?? '' };
    return { ...common, type: 'member.invited', data: invited };
  }
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

const columns = `era, xid::text as xid, global_seq as seq, stream as space, "offset", id, time_ms as "timeMs", type,
  case when type = any($1::text[]) then json end as json, correlation_id as "correlationId", traceparent`;

const outboxRow = (row: LogRow): OutboxRow => ({
  position: { era: row.era, xid: row.xid, seq: row.seq },
  event: domainEventOf(row),
  place: { stream: row.space, offset: row.offset },
});

/** A place in the log, as the queries below select it. */
interface PlaceRow extends Record<string, unknown> {
  readonly era: number;
  readonly xid: string;
  readonly seq: number;
}

/**
 * The log as the source of domain events: the event table is the outbox. Ordered by (era, xid, global_seq) and read
 * only up to where no open transaction can still write, so nothing is skipped.
 */
export const eventLogSource: OutboxSource = {
  types: published,
  read: async (database, after, limit) => {
    const rows = await database.query<LogRow>(
      {
        name: 'session_sync_outbox',
        text: `select ${columns} from event
               where (era, xid, global_seq) > ($2, $3::xid8, $4) and ${gapSafe}
               -- With the table's name: a bare xid would be the text in the select list, which sorts otherwise.
               order by event.era, event.xid, event.global_seq limit $5`,
      },
      [published, after.era, after.xid, after.seq, limit],
    );
    return rows.map(outboxRow);
  },
  before: async (database, timeMs) => {
    const [row] = await database.query<PlaceRow>(
      // Apart, or the order would have Postgres walk the log from its first event for the first new one.
      `with recent as materialized (select era, xid, global_seq from event where time_ms >= $1)
       select era, xid::text as xid, global_seq - 1 as seq from recent
       order by recent.era, recent.xid, recent.global_seq limit 1`,
      [timeMs - clockSkewMs],
    );
    if (row) return row;
    // Nothing that new: everything from the first transaction on that may still be open.
    const [end] = await database.query<PlaceRow>(
      'select era, pg_snapshot_xmin(pg_current_snapshot())::text as xid, -1 as seq from log_era',
    );
    return must(end, 'log_era has one row');
  },
  newest: async (database) => {
    const [row] = await database.query<PlaceRow & { readonly timeMs: number }>(
      `select era, xid::text as xid, global_seq as seq, time_ms as "timeMs" from event
       order by event.era desc, event.xid desc, event.global_seq desc limit 1`,
    );
    return row && { position: { era: row.era, xid: row.xid, seq: row.seq }, timeMs: row.timeMs };
  },
  has: async (database, { id, data }) => {
    const { space, offset } = data as { readonly space: string; readonly offset: number };
    const [row] = await database.query<{ has: boolean }>(
      `select exists (select 1 from ${logAt('$1', 'array[$2::bigint]')} e where e.id = $3)
         -- A stream that is gone whole was erased; of one that came after a copy was made, auth knows the login.
         or not exists (select 1 from event where stream = $1) as has`,
      [space, offset, id],
    );
    return row?.has ?? false;
  },
  between: async (database, stream, after, before) => {
    const rows = await database.query<LogRow>(
      `select ${columns} from event where stream = $2 and "offset" > $3 and "offset" < $4 order by "offset"`,
      [published, stream, after, before],
    );
    return rows.map(outboxRow);
  },
};
