import { AppError } from '@skein/contracts';
import {
  type Database,
  isCommitUnknown,
  isConnectionLoss,
  type Queryable,
  type Sql,
  sqlState,
} from '@skein/postgres';
import { SpanKind, withSpan } from '@skein/telemetry';
import {
  OutcomeUnknown,
  type PlannedEvent,
  type SpacePlan,
  type SpaceStore,
  SpacesMoved,
} from '../app/ports.ts';
import { keyOf, type Needs, type Writes } from '../domain/state.ts';
import { answeredWithin } from './answered-within.ts';
import { logAt } from './log-reads.ts';
import { stateLoader } from './space-states.ts';

/** SQLSTATE of a guard that failed in `commit_units`. */
const guardFailed = 'SK001';

/**
 * A replica that has spaces for itself and freezes or vanishes without a goodbye must soon let go of them; one that
 * waits for them must soon answer its callers.
 */
const holdingLocks = `set local idle_in_transaction_session_timeout = '5s'; set local transaction_timeout = '10s'`;

/**
 * The spaces of a flush wait for it: over a dead connection it is asked for again on another one. Not sooner than its
 * callers give up, or a database that is only slow would never get done with it.
 */
const answerMs = 12_000;

const commitSql = {
  name: 'session_sync_commit',
  text: `select commit_units($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`,
};

const commitOnceSql = {
  name: 'session_sync_commit_once',
  text: `select commit_once($20, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`,
};

/** All rows of one kind over the plans, sorted by their key; null when there are none. */
const rowsOf = <K extends keyof Writes>(
  plans: readonly SpacePlan[],
  name: K,
  key: (row: NonNullable<Writes[K]>[number]) => string,
  more?: (row: NonNullable<Writes[K]>[number], plan: SpacePlan) => object,
): string | null => {
  const rows: { readonly key: string; readonly row: object }[] = [];
  // Asked for every kind of row in every flush, and most plans have few kinds.
  for (const plan of plans)
    for (const row of (plan.writes[name] ?? []) as NonNullable<Writes[K]>[number][])
      rows.push({ key: key(row), row: more ? { ...row, ...more(row, plan) } : row });
  if (rows.length === 0) return null;
  rows.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return JSON.stringify(rows.map(({ row }) => row));
};

/** Conflicts and the ends of conflicts, which have no collection, in one list. */
const conflictsOf = (plans: readonly SpacePlan[]): string | null => {
  const rows = plans.flatMap(({ writes }) => [...(writes.conflicts ?? []), ...(writes.conflictEnds ?? [])]);
  return rows.length === 0 ? null : JSON.stringify(rows);
};

/** Invitations that are made or end, those that are used and those that go, in one list; none: null. */
const invitationsOf = (plans: readonly SpacePlan[]): string | null => {
  const rows = plans.flatMap(({ writes }) => [
    ...(writes.invitations ?? []),
    ...(writes.invitationUses ?? []),
    ...(writes.invitationsGone ?? []).map((row) => ({ ...row, gone: true })),
  ]);
  return rows.length === 0 ? null : JSON.stringify(rows);
};

const commitParameters = (plans: readonly SpacePlan[]): unknown[] => {
  const sorted = [...plans].sort((a, b) => (a.space < b.space ? -1 : 1));
  const events = sorted.flatMap(({ space, events: own }) => own.map((event) => ({ space, event })));
  const column = (read: (event: PlannedEvent) => unknown) => events.map(({ event }) => read(event));
  return [
    sorted.map(({ space }) => space),
    events.map(({ space }) => space),
    column((event) => event.offset),
    column((event) => event.id),
    column((event) => event.type),
    column((event) => event.timeMs),
    column((event) => event.json),
    column((event) => event.correlationId),
    column((event) => event.traceparent ?? null),
    rowsOf(
      sorted,
      'seqs',
      (row) => keyOf(row.space, row.userId, row.device),
      (row, plan) => ({
        expected: plan.expected.seqs.get(keyOf(row.userId, row.device)) ?? 0,
      }),
    ),
    rowsOf(
      sorted,
      'documents',
      (row) => keyOf(row.space, row.collection, row.id),
      (row, plan) => ({
        expected: plan.expected.documents.get(keyOf(row.collection, row.id)) ?? 0,
      }),
    ),
    rowsOf(sorted, 'conversations', (row) => row.id),
    rowsOf(sorted, 'messages', (row) => row.id),
    rowsOf(sorted, 'turns', (row) => row.id),
    rowsOf(sorted, 'turnEnds', (row) => row.turnId),
    rowsOf(sorted, 'results', (row) => keyOf(row.space, row.userId, row.device, row.seq)),
    conflictsOf(sorted),
    rowsOf(sorted, 'members', (row) => keyOf(row.space, row.userId)),
    rowsOf(sorted, 'devices', (row) => keyOf(row.userId, row.id)),
  ];
};

/**
 * One statement that writes all plans: what few commits have is written by functions of its own, last, in the order in
 * which they lock.
 */
const commitOf = (plans: readonly SpacePlan[]): { readonly sql: Sql; readonly parameters: unknown[] } => {
  const inSpace = (_: unknown, { space }: SpacePlan) => ({ space });
  const requests = rowsOf(plans, 'requests', (row) => keyOf(row.userId, row.method, row.key), inSpace);
  const base = requests === null ? commitSql : commitOnceSql;
  const parameters = [...commitParameters(plans), ...(requests === null ? [] : [requests])];
  const extras = [
    { name: 'commit_ledger', rows: rowsOf(plans, 'ledger', (row) => keyOf(row.space, row.position)) },
    { name: 'commit_invitations', rows: invitationsOf(plans) },
    { name: 'commit_steps', rows: rowsOf(plans, 'steps', (row) => row.key, inSpace) },
  ].filter(({ rows }) => rows !== null);
  const calls = extras.map(({ name }, at) => `, ${name}($${parameters.length + at + 1})`);
  return {
    sql: {
      // Names are short: Postgres cuts them at 63 bytes.
      name: [base.name, ...extras.map(({ name }) => name.replace('commit_', ''))].join('_'),
      text: base.text + calls.join(''),
    },
    parameters: [...parameters, ...extras.map(({ rows }) => rows)],
  };
};

const detailOf = (error: unknown): string => {
  for (let e = error; e instanceof Error; e = e.cause as Error)
    if (typeof (e as { detail?: unknown }).detail === 'string' && sqlState(e) === guardFailed)
      return (e as unknown as { detail: string }).detail;
  return '';
};

/** The error of a write as what the writer acts on. */
const writeError = (error: unknown): unknown => {
  if (sqlState(error) === guardFailed) return new SpacesMoved(new Set(detailOf(error).split(',')), error);
  // A lost connection says nothing about what the server did with the statement.
  const lost = error instanceof AppError ? error.code === 'unavailable' : isConnectionLoss(error);
  return lost || isCommitUnknown(error) ? new OutcomeUnknown(error) : error;
};

/** The store over this service's schema. */
export const postgresSpaceStore = (database: Database): SpaceStore => {
  const loadStates = stateLoader();
  const load = (db: Queryable, needs: ReadonlyMap<string, readonly Needs[]>) =>
    loadStates(answeredWithin(db, answerMs), needs);
  const write = (db: Queryable, plans: readonly SpacePlan[]) => {
    const { sql, parameters } = commitOf(plans);
    return answeredWithin(db, answerMs).query(sql, parameters);
  };

  return {
    load: (needs) => load(database, needs),
    commit: async (plans) => {
      const traced = plans
        .flatMap(({ events }) => events)
        .find(({ traceparent }) => traceparent !== undefined);
      const attributes = { 'db.system.name': 'postgresql', 'db.operation.batch.size': plans.length };
      try {
        // One statement for many callers: it hangs in the trace of the first, the others share its time.
        if (traced)
          await withSpan(
            'commit_units',
            { kind: SpanKind.CLIENT, traceparent: traced.traceparent, attributes },
            () => write(database, plans),
          );
        else await write(database, plans);
      } catch (error) {
        throw writeError(error);
      }
    },
    exclusively: async (needs, decide) => {
      try {
        await database.transaction(async (tx) => {
          await tx.query(holdingLocks);
          // In the order of `commit_units`.
          await tx.query(
            'select pg_advisory_xact_lock(hashtextextended(space, 0)) from unnest($1::text[]) as space',
            [[...needs.keys()].sort()],
          );
          const plans = decide(await load(tx, needs));
          if (plans.length > 0) await write(tx, plans);
        });
      } catch (error) {
        throw writeError(error);
      }
    },
    holds: async (space, offset, id) => {
      const rows = await database.query(
        `select 1 from ${logAt('$1', 'array[$2::bigint]')} e where e.id = $3`,
        [space, offset, id],
      );
      return rows.length > 0;
    },
  };
};
