import type { HashedDocument } from '@skein/sync-core';

/** One call as its caller saw it, with everything it took. Times are epoch milliseconds. */
export interface Call {
  /** What was called, such as `message over WebSocket`. */
  readonly kind: string;
  readonly startedMs: number;
  readonly endedMs: number;
  /** Why tries failed, in order. A call that was done at the first try has none. */
  readonly failures: readonly string[];
  /** False: its bounded retries ended without success. */
  readonly done: boolean;
}

/** What an acknowledgement says of a write. */
export interface Acknowledgement {
  readonly offset: number;
  /** The answer that was asked for. */
  readonly turnId?: string;
}

/** A message that somebody sent, once, with as many tries as it took. */
export interface Write extends Call {
  readonly clientMessageId: string;
  readonly acknowledged?: Acknowledgement;
}

/** A time without a connection. */
export interface Outage {
  readonly startedMs: number;
  /** Code the connection was closed with; 1006 when it just broke. */
  readonly code: number;
  /** Why attempts to connect again failed, in order. */
  readonly failures: string[];
  /** When a `welcome` had come again; undefined: it never did. */
  backMs?: number;
}

/** A document as an event says it is now; without a hash it is gone. */
export type Changed = Omit<HashedDocument, 'hash'> & { readonly hash?: string };

/** An event as a device saw it. */
export interface Seen {
  readonly offset: number;
  readonly id: string;
  readonly document?: Changed;
}

/** What one device saw from its first connection to its last. */
export interface DeviceHistory {
  readonly id: string;
  /** The head at its first `welcome`: it saw everything after. */
  readonly from: number;
  /** Events in the order they came. */
  readonly seen: readonly Seen[];
  readonly outages: readonly Outage[];
  /** How often it was given a snapshot instead of the events it had missed. */
  readonly snapshots: number;
  /** The close code after which it was not to come back. */
  readonly ended?: number;
}

/** An event as the server keeps it. */
export interface Logged extends Seen {
  readonly type: string;
  readonly clientMessageId?: string;
  readonly turnId?: string;
}

/** One added to a tally that all devices of a person share. */
export interface Addition extends Call {
  readonly device: string;
}

/** A health record that was handed in: a saga. */
export interface Recording extends Call {
  readonly acknowledged?: { readonly recordId: string; readonly sagaId: string };
  /** The saga's state at the end. */
  readonly state?: string;
}

/** What was done to the documents of a space, and what has become of them. */
export interface DocumentHistory {
  readonly additions: readonly Addition[];
  /** The tally as the server has it at the end, by device. */
  readonly tally: Readonly<Record<string, number>>;
  readonly recordings: readonly Recording[];
  /** The ledger of health records, with what checking it found. */
  readonly ledger: { readonly intact: boolean; readonly entries: number };
  /** Hash of all documents, as the server says it at the head of the log. */
  readonly stateHash: string;
}

/** One person: the space as the server has it at the end, who wrote into it, who followed it. */
export interface PersonHistory {
  readonly id: string;
  readonly log: readonly Logged[];
  readonly writes: readonly Write[];
  readonly devices: readonly DeviceHistory[];
  /** Calls that write no message. */
  readonly calls: readonly Call[];
  /** Of a load that changes documents. */
  readonly documents?: DocumentHistory;
}

/** Everything that clients saw of a server. */
export type History = readonly PersonHistory[];
