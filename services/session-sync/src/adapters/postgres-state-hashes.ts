import { AppError } from '@skein/contracts';
import type { Database } from '@skein/postgres';
import type { StateHashes } from '../app/ports.ts';

/** Readings at the same time: each looks at every document of its spaces. */
const atOnce = 2;

interface Sum extends Record<string, unknown> {
  readonly space: string;
  readonly epoch: string;
  readonly offset: number;
  /** Of signed 64-bit numbers, so it may be negative and longer than 64 bits. */
  readonly sum: string;
}

const nul = `'\\x00'::bytea`;
const bytes = (column: string) => `convert_to(${column}, 'UTF8')`;
const digest = `sha256(${bytes('d.collection')} || ${nul} || ${bytes('d.id')} || ${nul} ||
  ${bytes('d.logged_version::text')} || ${nul} || ${bytes('d.hash')})`;

/** The sum that `stateHash` of sync-core makes, made where the documents are: one number a space comes back. */
export const postgresStateHashes = (database: Database): StateHashes => {
  let running = 0;
  return {
    read: async (spaces, signal) => {
      if (running >= atOnce)
        throw new AppError('overloaded', 'Too many state hashes at once', { retryAfterMs: 500 });
      running += 1;
      try {
        // One statement is one snapshot: sum and head are of the same moment.
        const rows = await database.query<Sum>(
          {
            name: 'session_sync_state_hashes',
            text: `select s.id as space, s.epoch,
                     coalesce((select e."offset" from event e where e.stream = s.id order by e."offset" desc limit 1), 0)
                       as "offset",
                     (select coalesce(sum(('x' || encode(substr(${digest}, 1, 8), 'hex'))::bit(64)::bigint), 0)::text
                      from document d where d.space = s.id and not d.deleted) as sum
                   from space s where s.id = any($1::uuid[])`,
          },
          [spaces],
          { signal },
        );
        return rows.map(({ sum, ...at }) => ({
          ...at,
          stateHash: `1:${BigInt.asUintN(64, BigInt(sum)).toString(16).padStart(16, '0')}`,
        }));
      } finally {
        running -= 1;
      }
    },
  };
};
