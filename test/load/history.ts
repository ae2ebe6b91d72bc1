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

/** An event as a device saw it. */
export interface Seen {
  readonly offset: number;
  readonly id: string;
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

/** One person: the space as the server has it at the end, who wrote into it, who followed it. */
export interface PersonHistory {
  readonly id: string;
  readonly log: readonly Logged[];
  readonly writes: readonly Write[];
  readonly devices: readonly DeviceHistory[];
  /** Calls that write no message. */
  readonly calls: readonly Call[];
}

/** Everything that clients saw of a server. */
export type History = readonly PersonHistory[];
