import { fields, num, str, timeMs } from '@skein/sync-client';

/** What one side of a conflict wrote; without `value` it was not there. */
export interface ConflictSide {
  readonly value?: unknown;
}

/** Two writes of one field that did not know of each other, and what became of them. */
export interface Conflict {
  readonly id: string;
  readonly collection: string;
  readonly documentId: string;
  /** JSON Pointer; empty for the whole document. */
  readonly field: string;
  /** What chose: server, client, newest, manual, delete, … */
  readonly reason: string;
  /** `open`: a person must choose. */
  readonly state: 'open' | 'settled' | 'resolved' | 'undone';
  readonly winner: 'server' | 'client';
  readonly server: ConflictSide & { readonly version: number };
  readonly client: ConflictSide & { readonly user: string; readonly device: string };
  readonly createdMs: number;
  readonly ended?: { readonly choice: string; readonly atMs: number };
}

/** Reads a conflict of the list. */
export function readConflict(raw: unknown): Conflict {
  const f = fields(raw);
  const [server, client, ended] = [fields(f['server']), fields(f['client']), fields(f['ended'])];
  const side = (one: { readonly [name: string]: unknown }): ConflictSide =>
    'value' in one ? { value: one['value'] } : {};
  return {
    ...{ id: str(f['id']), collection: str(f['collection']), documentId: str(f['documentId']) },
    ...{ field: str(f['field']), reason: str(f['reason']), state: str(f['state']) as Conflict['state'] },
    winner: f['winner'] === 'client' ? 'client' : 'server',
    server: { ...side(server), version: num(server['version']) },
    client: { ...side(client), user: str(client['user']), device: str(client['device']) },
    createdMs: timeMs(f['createdAt']),
    ...(f['ended'] === undefined
      ? {}
      : { ended: { choice: str(ended['choice']), atMs: timeMs(ended['at']) } }),
  };
}
