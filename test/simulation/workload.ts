import type { Mutation } from '@skein/sync-core';
import type { Random } from './schedule.ts';

/**
 * What devices do. Documents of `ledger` are merged: every mutation adds a mark of its own and counts, so that what is
 * lost or done twice shows in the value. The others are edited, deleted and made again under every strategy.
 */
export const policies = {
  ledger: { strategy: 'merge', deletes: 'edit_wins' },
  notes: { strategy: 'newest_wins', deletes: 'delete_wins' },
  drafts: { strategy: 'merge', deletes: 'edit_wins', otherwise: 'newest' },
  facts: { strategy: 'server_wins', deletes: 'delete_wins' },
  wishes: { strategy: 'client_wins', deletes: 'edit_wins' },
  choices: { strategy: 'manual', deletes: 'edit_wins' },
  checked: {
    strategy: 'newest_wins',
    deletes: 'delete_wins',
    schema: { type: 'object', properties: { a: { type: 'number' } } },
  },
} as const;

/** What a mark says: who made it is of no interest, how much it counts is. */
export interface Mark {
  readonly mark: string;
  readonly counts: number;
}

/** One thing done to a document. */
export type Change = Pick<Mutation, 'collection' | 'id' | 'ops'>;

/** Collections anybody writes to; ids name theirs, because classic clients know documents by their id alone. */
export const plain = ['notes', 'drafts', 'facts', 'wishes', 'choices'] as const;
export const keys = ['a', 'b', 'c'];

/** Makes changes, each with a mark nobody else has. */
export const createWorkload = (random: Random) => {
  let marks = 0;
  return (): Change => {
    marks += 1;
    const mark = `m${marks}`;
    const at = random.between(1, 3);
    if (random.chance(0.4)) {
      const counts = random.between(1, 1_000);
      return {
        collection: 'ledger',
        id: `ledger-${at}`,
        ops: [
          { op: 'add', path: ['marks'], value: { mark, counts } },
          { op: 'increment', path: ['sum'], value: counts },
        ],
      };
    }
    if (random.chance(0.08))
      return { collection: 'checked', id: `checked-${at}`, ops: [{ op: 'set', path: ['a'], value: mark }] };
    const collection = random.pick(plain);
    const id = `${collection}-${at}`;
    if (random.chance(0.15)) return { collection, id, ops: [{ op: 'delete', path: [] }] };
    const ops: Mutation['ops'] = random.chance(0.1)
      ? [{ op: 'unset', path: [random.pick(keys)] }]
      : [{ op: 'set', path: [random.pick(keys)], value: mark }];
    return { collection, id, ops };
  };
};
