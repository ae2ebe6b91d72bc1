import type { Database, Queryable } from '@skein/postgres';
import type { NewTurn, TurnStore } from '../app/ports.ts';
import { type Ending, type HeldTurn, stateOf, type Turn, type TurnState } from '../domain/turn.ts';

interface TurnRow {
  readonly id: string;
  readonly space: string;
  readonly conversation_id: string;
  readonly question_id: string;
  readonly message_id: string;
  readonly user_id: string;
  readonly persona: string;
  readonly traceparent: string | null;
  readonly state: TurnState;
  readonly text: string;
}

interface HeldRow extends TurnRow {
  readonly fence: number;
  readonly attempt: number;
  readonly cancel_requested: boolean;
  readonly decided: string | null;
}

const columns =
  'id, space, conversation_id, question_id, message_id, user_id, persona, traceparent, state, text';

const toTurn = (row: TurnRow): Turn => ({
  id: row.id,
  space: row.space,
  conversationId: row.conversation_id,
  questionId: row.question_id,
  messageId: row.message_id,
  userId: row.user_id,
  persona: row.persona,
  traceparent: row.traceparent ?? undefined,
  state: row.state,
  text: row.text,
});

const toHeld = (row: HeldRow): HeldTurn => ({
  ...toTurn(row),
  fence: row.fence,
  attempt: row.attempt,
  cancelRequested: row.cancel_requested,
  decided: row.decided === null ? undefined : (JSON.parse(row.decided) as Ending),
});

/** Adds a turn once, and none for a person who was erased; also used inside the inbox's transaction of an event. */
export const addTurn = async (database: Queryable, turn: NewTurn): Promise<boolean> => {
  const rows = await database.query(
    {
      name: 'turn-add',
      text: `insert into turn (id, space, conversation_id, question_id, user_id, persona, traceparent)
             select $1, $2, $3, $4, $5, $6, $7
             where not exists (select 1 from erased_person where user_id = $5)
             on conflict (id) do nothing returning 1`,
    },
    [
      turn.id,
      turn.space,
      turn.conversationId,
      turn.questionId,
      turn.userId,
      turn.persona,
      turn.traceparent ?? null,
    ],
  );
  return rows.length > 0;
};

/** Turns in Postgres: leases by the database's clock, every write of an owner fenced. */
export const postgresTurnStore = (
  database: Database,
  { instance, leaseMs }: { readonly instance: string; readonly leaseMs: number },
): TurnStore => ({
  add: (turn) => addTurn(database, turn),
  get: async (id) => {
    const [row] = await database.query<TurnRow>(
      { name: 'turn-get', text: `select ${columns} from turn where id = $1` },
      [id],
    );
    return row ? toTurn(row) : undefined;
  },
  claim: async (limit, except) => {
    const rows = await database.query<HeldRow>(
      {
        name: 'turn-claim',
        text: `update turn set holder = $1, fence = fence + 1, attempt = attempt + 1, state = 'streaming',
                 lease_until = now() + make_interval(secs => $2 / 1000.0)
               where id in (
                 select id from turn where state in ('queued', 'streaming') and lease_until < now() and id <> all($4)
                 order by created_at limit $3 for update skip locked)
               returning ${columns}, fence, attempt, cancel_requested, decided`,
      },
      [instance, leaseMs, limit, except],
    );
    return rows.map(toHeld);
  },
  renew: async (held) => {
    const rows = await database.query(
      {
        name: 'turn-renew',
        text: `update turn set lease_until = now() + make_interval(secs => $3 / 1000.0)
               where id = $1 and fence = $2 and state = 'streaming' returning 1`,
      },
      [held.id, held.fence, leaseMs],
    );
    return rows.length > 0;
  },
  releaseOwn: async () => {
    await database.query(
      `update turn set lease_until = '-infinity' where holder = $1 and state in ('queued', 'streaming')`,
      [instance],
    );
  },
  save: async (held, { text, messageId }) => {
    const [row] = await database.query<{ cancel_requested: boolean }>(
      {
        name: 'turn-save',
        text: `update turn set text = $3, message_id = $4, lease_until = now() + make_interval(secs => $5 / 1000.0)
               where id = $1 and fence = $2 and state = 'streaming' returning cancel_requested`,
      },
      [held.id, held.fence, text, messageId, leaseMs],
    );
    return row ? { cancelRequested: row.cancel_requested } : undefined;
  },
  decide: async (held, ending) => {
    const rows = await database.query(
      {
        name: 'turn-decide',
        text: `update turn set decided = $3, text = $4, lease_until = now() + make_interval(secs => $5 / 1000.0)
               where id = $1 and fence = $2 and state = 'streaming' returning 1`,
      },
      [held.id, held.fence, JSON.stringify(ending), ending.text, leaseMs],
    );
    return rows.length > 0;
  },
  finish: async (held, outcome, text) => {
    await database.query(
      {
        name: 'turn-finish',
        text: `update turn set state = $3, text = $4, ended_at = now(), holder = null
               where id = $1 and fence = $2 and state = 'streaming'`,
      },
      [held.id, held.fence, stateOf[outcome], text],
    );
  },
  requestCancel: async (id) => {
    const [row] = await database.query<{ state: TurnState }>(
      `update turn set cancel_requested = cancel_requested or state in ('queued', 'streaming')
       where id = $1 returning state`,
      [id],
    );
    return row?.state;
  },
});
