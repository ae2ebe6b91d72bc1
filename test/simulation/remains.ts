import type { SessionState } from '../../packages/console/src/sync/model.ts';
import type { History, Known, Log } from './history.ts';

/** All that is left when everything has come to rest. */
export interface Remains {
  readonly history: History;
  /** Every log there was: those a restore replaced, and the ones there are. */
  readonly logs: readonly Log[];
  readonly current: readonly Log[];
  readonly documents: ReadonlyMap<string, readonly (Known & { readonly value: unknown })[]>;
  readonly lastSeqs: readonly { readonly space: string; readonly device: string; readonly lastSeq: number }[];
  /** Role by person in each team space: at first, and as the database has it. */
  readonly teams: ReadonlyMap<string, ReadonlyMap<string, string>>;
  readonly members: ReadonlyMap<string, ReadonlyMap<string, string>>;
  /** When each change of a membership was asked for, by the platform its event names. */
  readonly askedAtMs: ReadonlyMap<string, number>;
  readonly devices: readonly {
    readonly id: string;
    readonly user: string;
    readonly state: SessionState;
  }[];
  /** Ids of all events the bus has stored. */
  readonly stored: ReadonlySet<string>;
  /** Where each replica is now. */
  readonly replicas: readonly {
    readonly device: string;
    readonly space: string;
    readonly epoch: string;
    readonly offset: number;
    readonly digest: string;
  }[];
}
