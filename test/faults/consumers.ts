import pg from 'pg';

/** A thing that must not be in the database, once everything has come to rest. */
interface Oracle {
  readonly wrong: string;
  /** Selects ids of what is wrong. */
  readonly sql: string;
}

/** What consumers of events and their inboxes must have made of everything that was published. */
const oracles: readonly Oracle[] = [
  {
    wrong: 'lost: a question that the agent never heard of',
    sql: `select id::text from session_sync.event e
          where type = 'message.created' and json::json #>> '{data,turnId}' is not null and not exists
            (select 1 from agent.inbox i where i.consumer = 'agent-turns' and i.event_id = e.id::text)`,
  },
  {
    wrong: 'lost: an event of an account that the user service never heard of',
    sql: `select event_id as id from auth.outbox o
          where event::json ->> 'type' in ('user.registered', 'user.login') and not exists
            (select 1 from "user".inbox i where i.consumer = 'user-accounts' and i.event_id = o.event_id)`,
  },
  {
    wrong: 'doubled or lost: not exactly one welcome',
    sql: `select p.user_id as id from "user".profiles p left join "user".notices n
            on n.user_id = p.user_id and n.kind = 'welcome'
          group by p.user_id having count(n.id) <> 1`,
  },
  {
    wrong: 'doubled: more than one answer to a question',
    sql: `select min(id) as id from agent.turn group by question_id having count(*) > 1`,
  },
  {
    wrong: 'failed: a dead letter',
    sql: `select consumer || ' ' || event_id || ' ' || error as id from agent.dead_letter
          union all select consumer || ' ' || event_id || ' ' || error from "user".dead_letter`,
  },
];

/** Consumers may have a minute's backoff behind them when the last fault is healed. */
const settleMs = 90_000;
const lookEveryMs = 500;
const examples = 5;

/** Waits until consumers have made every event's effect once; what is still wrong in the end, in words. */
export const consumerFaults = async (url: string): Promise<string[]> => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const deadline = Date.now() + settleMs;
    for (;;) {
      const wrong: string[] = [];
      for (const oracle of oracles) {
        const { rows } = await client.query<{ id: string }>(oracle.sql);
        wrong.push(...rows.slice(0, examples).map(({ id }) => `${oracle.wrong}: ${id}`));
      }
      if (wrong.length === 0 || Date.now() > deadline) return wrong;
      await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
    }
  } finally {
    await client.end();
  }
};
