import type { Database, Row, Sql, Tx } from '@skein/postgres';
import type { CallContext, Implementation } from '@skein/rpc';
import type { Target } from './calls.ts';
import type { Ground } from './disk.ts';
import type { Store } from './store.ts';
import { type Outcome, runSeed, type Seams } from './world.ts';

/** A mistake somebody could make, put in from outside: the engine itself knows nothing of it. */
export interface Bug {
  readonly name: string;
  /** In words: what is wrong, where. */
  readonly about: string;
  /** What a function of the schema says instead. */
  readonly sql?: { readonly function: string; readonly replace: readonly (readonly [string, string])[] };
  /** Made anew for each seed. */
  readonly seams?: () => Seams;
}

type Query = Database['query'];

/** A database whose statements go through `query`. */
const asking = (
  database: Database,
  query: (sql: Sql, params: readonly unknown[]) => Promise<Row[]>,
): Database => ({
  ...database,
  query: ((sql: Sql, params: readonly unknown[] = []) => query(sql, params)) as Query,
});

const nameOf = (sql: Sql): string => (typeof sql === 'string' ? '' : sql.name);

interface SeqRow {
  readonly space: string;
  readonly userId: string;
  readonly device: string;
}

/** Forgets, when a mutation is decided, that it was there before. */
const forgetful = (database: Database): Database =>
  asking(database, async (sql, params) => {
    const rows = await database.query(sql, params);
    const [row] = rows;
    const from = typeof sql === 'string' ? undefined : /\bn_seq as [^$]*\$(\d+)/.exec(sql.text)?.[1];
    if (!nameOf(sql).startsWith('session_sync_load') || from === undefined || !row) return rows;
    const columns = params.slice(Number(from) - 1, Number(from) + 3);
    const [spaces, users, devices, seqs] = columns as [string[], string[], string[], number[]];
    const asked = (of: SeqRow) =>
      seqs.filter((_, at) => spaces[at] === of.space && users[at] === of.userId && devices[at] === of.device);
    const known = (row['seqs'] ?? []) as SeqRow[];
    return [
      { ...row, results: null, seqs: known.map((one) => ({ ...one, lastSeq: Math.min(...asked(one)) - 1 })) },
    ];
  });

/** Gives neighbours of a log in each other's place. */
const reordering = (database: Database): Database =>
  asking(database, async (sql, params) => {
    const rows = await database.query(sql, params);
    if (!rows.every((row) => 'offset' in row && 'json' in row)) return rows;
    return rows.map((row, at) => ({
      ...(rows[at % 2 === 0 ? at + 1 : at - 1] ?? row),
      offset: row['offset'],
    }));
  });

/** Reads the documents first, and a moment later the position they are said to have. */
const stateFirst = (database: Database, { schedule, random }: Ground): Database => ({
  ...database,
  transaction: async (work, options = {}) => {
    if (options.isolation !== 'repeatable read') return database.transaction(work, options);
    const early = new Map<Sql, Row[]>();
    await database.transaction(async (tx) => {
      const reading: Tx = {
        query: async <R>(sql: Sql, params?: readonly unknown[]) => {
          const rows = await tx.query<R>(sql, params);
          early.set(sql, rows as Row[]);
          return rows;
        },
      };
      return work(reading);
    }, options);
    // The position is the first that was read: to lock a table gives no row.
    const position = [...early].find(([, rows]) => rows.length > 0);
    early.delete(position?.[0] ?? '');
    await new Promise<void>((resolve) => schedule.after(random.between(5, 300), resolve));
    return database.transaction((tx) => {
      const mixed: Tx = {
        query: async <R>(sql: Sql, params?: readonly unknown[]) =>
          (early.get(sql) as R[] | undefined) ?? tx.query<R>(sql, params),
      };
      return work(mixed);
    }, options);
  },
});

/** Anything that names an epoch names the first one its space ever had. */
const firstEpochs = (): ((target: Target) => Target) => {
  const first = new Map<string, string>();
  const old = (value: unknown, about: string): unknown => {
    if (Array.isArray(value)) return value.map((one) => old(one, about));
    if (typeof value !== 'object' || value === null) return value;
    const one = value as Record<string, unknown>;
    const space = String(one['space'] ?? ('head' in one && 'id' in one ? one['id'] : about));
    return Object.fromEntries(
      Object.entries(one).map(([key, inner]) => {
        if (key !== 'epoch' || inner === '') return [key, old(inner, space)];
        const known = first.get(space) ?? String(inner);
        first.set(space, known);
        return [key, known];
      }),
    );
  };
  const blind = (request: unknown) => {
    const frame = request as { readonly epoch?: string };
    return 'epoch' in frame ? { ...frame, epoch: '' } : request;
  };
  const blindFrames = async function* (requests: AsyncIterable<{ frame?: { value: unknown } }>) {
    for await (const { frame } of requests) yield { frame: frame && { ...frame, value: blind(frame.value) } };
  };
  const blinded = (implementation: Implementation): Implementation => {
    const handlers: Implementation['handlers'] = Object.fromEntries(
      Object.entries(implementation.handlers).map(([name, handle]) => {
        const method = implementation.definition[name];
        if (!method?.responseStream)
          return [
            name,
            async (request: unknown, ctx: CallContext) =>
              old(await handle(blind(request), ctx), String((request as { space?: string }).space)),
          ];
        return [
          name,
          async function* (request: unknown, ctx: CallContext) {
            const asked = method.requestStream
              ? blindFrames(request as AsyncIterable<never>)
              : blind(request);
            const space = String((request as { space?: string }).space);
            for await (const one of handle(asked, ctx) as AsyncIterable<unknown>) yield old(one, space);
          },
        ];
      }),
    );
    return { ...implementation, handlers };
  };
  return ({ machine, implementations }) => ({ machine, implementations: implementations.map(blinded) });
};

/** Notes how far the relay is, whoever has its lease by now. */
const unfenced = (database: Database): Database =>
  asking(database, (sql, params) =>
    typeof sql !== 'string' && sql.name === 'relay-note'
      ? database.query(
          { name: 'relay-note-unfenced', text: sql.text.replace('and fence = $2', 'and $2::bigint > 0') },
          params,
        )
      : database.query(sql, params),
  );

/** Writes at the end of the journal of a saga, whoever has it by now. */
const unfencedSagas = (database: Database): Database =>
  asking(database, (sql, params) =>
    typeof sql !== 'string' && sql.name === 'skein_saga_append'
      ? database.query(
          {
            name: 'skein_saga_append-unfenced',
            text: sql.text
              .replace(' and s.fence = w.fence', '')
              .replace(
                'select w.id, w.pos,',
                'select w.id, coalesce((select max(e.pos) + 1 from saga_entry e where e.saga_id = w.id), w.pos),',
              ),
          },
          params,
        )
      : database.query(sql, params),
  );

/** Notes an event as handled in a statement of its own, a moment after its effect. */
const inboxAfterwards = (database: Database, { schedule, random }: Ground): Database => ({
  ...database,
  transaction: async (work, options) => {
    const noted: (readonly unknown[])[] = [];
    const result = await database.transaction(
      (tx) =>
        work({
          query: async <R>(sql: Sql, params: readonly unknown[] = []) => {
            if (nameOf(sql) !== 'inbox-once') return tx.query<R>(sql, params);
            const known = await tx.query('select from inbox where consumer = $1 and event_id = $2', params);
            if (known.length > 0) return [];
            noted.push(params);
            return [{} as R];
          },
        }),
      options,
    );
    const note = 'insert into inbox (consumer, event_id) values ($1, $2) on conflict do nothing';
    for (const params of noted)
      schedule.after(random.between(1, 400), () => void database.query(note, params).catch(() => {}));
    return result;
  },
});

/** The bugs the simulator has to find. */
export const bugs: readonly Bug[] = [
  {
    name: 'drop dedup',
    about: 'a mutation that comes again is carried out again',
    sql: {
      function: 'commit_units',
      replace: [
        [
          `where d.last_seq = (select w.expected from wanted w where w.space = d.space
          and w."userId" = d.user_id and w.device = d.device)`,
          '',
        ],
        [
          `as r(space uuid, "userId" text, device text, seq bigint, hash text, result text);`,
          `as r(space uuid, "userId" text, device text, seq bigint, hash text, result text) on conflict do nothing;`,
        ],
      ],
    },
    seams: () => ({ database: forgetful }),
  },
  {
    name: 'skip fence',
    about: 'who appends at an offset that is taken replaces what is there',
    sql: {
      function: 'commit_units',
      replace: [
        [
          'on conflict (stream, "offset") do nothing',
          'on conflict (stream, "offset") do update set id = excluded.id, type = excluded.type, json = excluded.json',
        ],
      ],
    },
  },
  {
    name: 'reorder apply',
    about: 'events read from the log are applied in another order',
    seams: () => ({ database: reordering }),
  },
  {
    name: 'lose lastSeq on reject',
    about: 'a device advances only by mutations that changed something',
    sql: {
      function: 'commit_units',
      replace: [
        [
          `as r(space uuid, "userId" text, device text, expected bigint, "lastSeq" bigint)`,
          `as r(space uuid, "userId" text, device text, expected bigint, "lastSeq" bigint)
        where r.space = any(p_stream)`,
        ],
      ],
    },
  },
  {
    name: 'read state before position',
    about: 'a snapshot has documents that are older than its position',
    seams: () => ({ database: stateFirst }),
  },
  {
    name: 'ignore epoch',
    about: 'after a restore everybody goes on as if the log were the same',
    seams: () => ({ target: firstEpochs() }),
  },
  {
    name: 'un-fenced lease',
    about: 'a relay that has lost its lease still notes how far it is',
    seams: () => ({ database: unfenced }),
  },
  {
    name: 'un-fenced saga journal',
    about: 'who has lost a saga still writes at the end of its journal',
    seams: () => ({ database: unfencedSagas }),
  },
  {
    name: 'step without its note',
    about: 'a step of a saga is carried out again when its answer was lost',
    sql: {
      function: 'commit_steps',
      replace: [
        ['from wanted where not stored order', 'from wanted where not stored and undone order'],
        ['where not exists (select 1 from claimed', 'where w.undone and not exists (select 1 from claimed'],
      ],
    },
  },
  {
    name: 'inbox after the effect',
    about: 'a consumer notes what it has handled a moment after the effect, not with it',
    seams: () => ({ database: inboxAfterwards }),
  },
];

/** Runs seeds with a bug in it until one shows it; undefined when none of them does. */
export const hunt = async (
  bug: Bug,
  store: Store,
  seeds: { readonly from: number; readonly count: number },
): Promise<Outcome | undefined> => {
  const mend = bug.sql && (await store.patch(bug.sql.function, bug.sql.replace));
  try {
    for (let seed = seeds.from; seed < seeds.from + seeds.count; seed += 1) {
      const outcome = await runSeed(seed, store, bug.seams?.() ?? {});
      if (outcome.violations.length > 0) return outcome;
    }
    return undefined;
  } finally {
    await mend?.();
  }
};
