import { AppError } from '@skein/contracts';
import type { Database, Tx } from '@skein/postgres';
import { isSagaId, readEntries, type SagaRow, sagaColumns } from './claims.ts';
import type { SagaDefinition } from './definition.ts';
import { holdLinesOf, leaveLines } from './locks.ts';
import { type Entry, endStates, evolve, type Progress, replay, type SagaState } from './state.ts';
import { checkOperator, type Operator, type Verb, verbEntry } from './verbs.ts';

/** How often a verb looks again when a step of the saga came first. */
const maxTries = 5;
/** Most lines in a journal that verbs may add to. */
const maxEntries = 1_000;

const lockedRow = async (tx: Tx, id: string): Promise<SagaRow> => {
  const [row] = await tx.query<SagaRow>(
    {
      name: 'skein_saga_lock_row',
      text: `select ${sagaColumns('s')} from saga s where id = $1 for update`,
    },
    [id],
  );
  if (!row) throw new AppError('not_found', 'There is no such saga');
  return row;
};

const insertEntry = async (
  tx: Tx,
  id: string,
  pos: number,
  entry: Entry,
  state: SagaState,
): Promise<void> => {
  const written = await tx.query(
    {
      name: 'skein_saga_verb',
      text: `insert into saga_entry (saga_id, pos, kind, step, data, actor, reason, attempts, state)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing returning 1`,
    },
    [
      id,
      pos,
      entry.kind,
      entry.step,
      entry.data ?? null,
      entry.actor ?? null,
      entry.reason ?? null,
      entry.attempts ?? null,
      state,
    ],
  );
  // The owner has just written there; what the verb may do is to be decided anew.
  if (written.length === 0) throw new AppError('conflict', 'The saga moved on at the same moment');
};

/** The fence goes up with the row, so whoever is at it can write no more. */
const follow = (tx: Tx, id: string, { state, failure }: Pick<Progress, 'state' | 'failure'>) =>
  tx.query(
    {
      name: 'skein_saga_follow_verb',
      text: `update saga set state = $2, fence = fence + 1, owner = null, attempts = 0, failure = $3,
               due_at = case when $4 then null else now() end, ended_at = case when $5 then now() end
             where id = $1`,
    },
    [
      id,
      state,
      failure ? JSON.stringify(failure) : null,
      state === 'parked' || endStates.has(state),
      endStates.has(state),
    ],
  );

/** Undefined for a journal that does not fit: then a person can only end the saga. */
const progressOf = (definition: SagaDefinition, entries: readonly Entry[]): Progress | undefined => {
  try {
    return replay(definition.steps, entries);
  } catch {
    // The orchestrator has logged why, at every claim.
    return undefined;
  }
};

/**
 * Does what a person decided about a saga, in one transaction: checked against the journal, written with who and
 * why, and whoever is at the saga loses it. `not_found`, `saga_state` with the reason, `invalid_request`.
 */
export const operate = async (
  database: Database,
  definitionOf: (row: SagaRow) => SagaDefinition | undefined,
  id: string,
  verb: Verb,
  by: Operator,
): Promise<Pick<SagaRow, 'name' | 'state'>> => {
  checkOperator(by);
  if (!isSagaId(id)) throw new AppError('not_found', 'There is no such saga');
  const once = async (tx: Tx): Promise<Pick<SagaRow, 'name' | 'state'>> => {
    const keys = await holdLinesOf(tx, id);
    const row = await lockedRow(tx, id);
    const known = definitionOf(row);
    const entries = (await readEntries(tx, [id])).get(id) ?? [];
    if (entries.length >= maxEntries)
      throw new AppError('saga_state', 'The journal of this saga is full: only its database can be repaired');
    const progress = known && progressOf(known, entries);
    const definition = progress && known;
    const entry = verbEntry(verb, by, { row, progress, definition, nowMs: Date.now() });
    const after: Pick<Progress, 'state' | 'failure'> =
      definition && progress
        ? evolve(definition.steps, progress, entry)
        : { state: 'killed', failure: { code: 'killed', detail: by.reason } };
    await insertEntry(tx, id, entries.length, entry, after.state);
    await follow(tx, id, after);
    if (endStates.has(after.state)) await leaveLines(tx, id, keys);
    return { name: row.name, state: after.state };
  };
  for (let tries = 1; ; tries += 1) {
    try {
      return await database.transaction(once);
    } catch (error) {
      const again = error instanceof AppError && error.code === 'conflict';
      if (!again || tries >= maxTries) throw error;
    }
  }
};
