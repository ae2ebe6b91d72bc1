import { AppError } from '@skein/contracts';
import type { Database } from '@skein/postgres';
import { maxPage } from './inspect.ts';
import type { Sagas } from './orchestrator.ts';

/** Whose sagas to forget, who says so, and the one that stays: the saga that asks. */
export interface Forgetting {
  readonly subject: string;
  readonly by: string;
  readonly except?: string | undefined;
}

const live = ['waiting', 'running', 'compensating', 'parked'] as const;

/**
 * Forgets every saga about a person: what goes on is killed, as nothing can be done for them any more nor taken back,
 * and then inputs, outputs and journals are gone. Again changes nothing. The database has the tables of participants too.
 */
export const forgetSagas = async (
  database: Database,
  sagas: Pick<Sagas, 'list' | 'operate'>,
  { subject, by, except }: Forgetting,
): Promise<void> => {
  for (let before: string | undefined; ; ) {
    const page = await sagas.list({ subject, states: live, before, limit: maxPage });
    for (const { id } of page) {
      if (id === except) continue;
      try {
        await sagas.operate(id, { kind: 'kill' }, { actor: by, reason: 'the person is erased' });
      } catch (error) {
        // It has ended by itself meanwhile.
        if (!(error instanceof AppError) || error.code !== 'saga_state') throw error;
      }
    }
    before = page.at(-1)?.id;
    if (page.length < maxPage) break;
  }
  await database.query(
    `with forgotten as (
       delete from saga where subject = $1 and ended_at is not null and ($2::uuid is null or id <> $2) returning id
     ), steps as (
       -- What was done stays known, what it gave does not.
       update saga_step_seen set result = null where result is not null
         and split_part(key, ':', 1) in (select id::text from forgotten))
     delete from saga_entry where saga_id in (select id from forgotten)`,
    [subject, except ?? null],
  );
};
