/** Variable name → its text, number, switch, list or object. */
export type Settings = Readonly<Record<string, unknown>>;

/** The settings of one scope: of a service, by its name, or of `all`. */
export interface StoredDocument {
  /** Of this document alone; what a writer must have seen to replace it. */
  readonly revision: string;
  readonly settings: Settings;
  /** Why it cannot be read: it is no YAML, or no object. It then has no settings. */
  readonly fault?: string;
}

/** Everything the config centre says, at one moment. */
export interface Snapshot {
  /** Of the whole. */
  readonly revision: string;
  /** By scope. */
  readonly documents: Readonly<Record<string, StoredDocument>>;
}

/** Waits for something else than what is known. */
export interface Wait {
  /** The revision that is known. */
  readonly after: string;
  /** Then it answers with what there is, changed or not. */
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

/** One scope's new settings, as a whole. */
export interface Change {
  readonly scope: string;
  readonly settings: Settings;
  /** The revision the writer has seen; empty: there was none. */
  readonly seen: string;
}

/**
 * Where settings are kept that change while services run: one document a scope, so that what belongs together is seen
 * together, and two people who change different services do not meet.
 */
export interface ConfigStore {
  /** Where it is, for people; no secrets in it. */
  readonly place: string;
  /** What there is: at once, or with a `wait` when it differs. Rejects while the store cannot be asked. */
  read(wait?: Wait): Promise<Snapshot>;
  /** Writes all of them or none; false when one is no longer what the writer has seen. */
  write(changes: readonly Change[]): Promise<boolean>;
}

/** Consul takes no larger value, and a file may be no larger either. */
export const maxDocumentBytes = 512 * 1024;

/** The scope of settings that all services have. */
export const allScope = 'all';
