import type { DomainEvent } from '@skein/contracts';
import type { SessionState } from '@skein/sync-client';
import type { History, Known, Log } from './history.ts';
import type { Asked } from './recorder.ts';
import type { readRecordings } from './recording-oracle.ts';
import type { Store } from './store.ts';

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
  /** All events the bus has stored, by id, in order. */
  readonly stored: ReadonlyMap<string, DomainEvent>;
  /** What the consumer has made of them, where there is one. */
  readonly effects: Awaited<ReturnType<Store['effects']>> | undefined;
  /** Recordings by sagas that were asked for, and what is left of all there were. */
  readonly asked: ReadonlyMap<string, Asked>;
  readonly recordings: Awaited<ReturnType<typeof readRecordings>>;
  /** Where each replica is now. */
  readonly replicas: readonly {
    readonly device: string;
    readonly space: string;
    readonly epoch: string;
    readonly offset: number;
    readonly digest: string;
  }[];
}
