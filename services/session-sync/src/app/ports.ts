import type { LoggedEvent } from '../domain/event.ts';
import type {
  ConflictRow,
  ConversationRow,
  DeviceRow,
  DocumentRow,
  MessageRow,
  Needs,
  Role,
  SpaceState,
  Writes,
} from '../domain/state.ts';

/** Identifiers, as an argument so that tests can choose them. */
export interface Ids {
  /** Unique and growing with time (UUIDv7). */
  next(): string;
  /** Unguessable name of one incarnation of a log. */
  epoch(): string;
  /** Unguessable, and short enough to be sent in a link. */
  code(): string;
}

/** Waits and periodic work, as an argument. */
export interface Timers {
  /** Runs `work` once after a delay; returns the way to call it off. */
  after(delayMs: number, work: () => void): () => void;
}

/** An event about to be written. */
export interface PlannedEvent extends LoggedEvent {
  readonly timeMs: number;
  readonly correlationId: string;
  readonly traceparent: string | undefined;
}

/** All that one flush does to one space. */
export interface SpacePlan {
  readonly space: string;
  readonly events: readonly PlannedEvent[];
  readonly writes: Writes;
  /** Versions and seqs the plan was decided on, by key: what must still be so when it is written. */
  readonly expected: {
    readonly documents: ReadonlyMap<string, number>;
    readonly seqs: ReadonlyMap<string, number>;
  };
}

/** Somebody else wrote to these spaces first; nothing of the batch was written. */
export class SpacesMoved extends Error {
  override readonly name = 'SpacesMoved';
  readonly spaces: ReadonlySet<string>;
  constructor(spaces: ReadonlySet<string>, cause?: unknown) {
    super('spaces were written to by somebody else', { cause });
    this.spaces = spaces;
  }
}

/** The connection broke while the batch was being written: it is in the log as a whole, or not at all. */
export class OutcomeUnknown extends Error {
  override readonly name = 'OutcomeUnknown';
  constructor(cause: unknown) {
    super('the outcome of a write is not known', { cause });
  }
}

/** Reads and writes for deciding. */
export interface SpaceStore {
  /** The rows needed, per space, all as of one moment. A space that is not there is missing in the answer. */
  load(needs: ReadonlyMap<string, readonly Needs[]>): Promise<Map<string, SpaceState>>;
  /** Writes all plans or none. Throws `SpacesMoved` or `OutcomeUnknown`. */
  commit(plans: readonly SpacePlan[]): Promise<void>;
  /**
   * Loads, decides and writes all or nothing while nobody else can write to these spaces. Throws `SpacesMoved` when
   * something that belongs to no space has moved, or `OutcomeUnknown`.
   */
  exclusively(
    needs: ReadonlyMap<string, readonly Needs[]>,
    decide: (states: ReadonlyMap<string, SpaceState>) => readonly SpacePlan[],
  ): Promise<void>;
  /** Whether the event at this offset of the space is this one. */
  holds(space: string, offset: number, id: string): Promise<boolean>;
}

/** Events of one space that have just been committed, in order. */
export interface CommittedEvents {
  readonly space: string;
  readonly epoch: string;
  readonly events: readonly LoggedEvent[];
}

/** For whom and until when something is done. */
export interface Call {
  /** The acting person. */
  readonly userId: string;
  /** What the person showed; absent when a service acts by itself. */
  readonly login?: Login | undefined;
  readonly device?: DeviceInfo | undefined;
  readonly platform: string;
  readonly signal: AbortSignal;
  readonly correlationId: string;
  readonly traceparent: string | undefined;
  /** The same key again is the same request again. */
  readonly idempotencyKey?: string | undefined;
}

/** What somebody proves to be the person with: a login (sid) or an API token (jti). */
export interface Login {
  readonly kind: 'session' | 'token';
  readonly id: string;
}

/** One installation, as it introduces itself. */
export interface DeviceInfo {
  readonly id: string;
  readonly platform: string;
  readonly name: string;
}

/** A space as one member sees it. */
export interface SpaceView {
  readonly id: string;
  readonly kind: 'personal' | 'team';
  readonly title: string;
  readonly role: Role;
  readonly epoch: string;
  readonly head: number;
  readonly lastSeq: number;
  /** The lowest offset still served. */
  readonly floor: number;
}

/** Where a log is. */
export interface SpacePosition {
  readonly space: string;
  readonly epoch: string;
  readonly head: number;
}

/** A turn without an end. */
export interface RunningTurn {
  readonly space: string;
  readonly turnId: string;
  readonly messageId: string;
  readonly conversationId: string;
}

/** One page of a list; `next` is absent at the end. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly next?: string | undefined;
}

/** What asks for a page: at most `limit` items after an opaque cursor. */
export interface PageRequest {
  readonly limit: number;
  readonly cursor?: string | undefined;
}

/** Reading spaces and their logs. */
export interface SpaceReads {
  /** The person's spaces, the own one first, then by id. */
  spacesOf(userId: string, page: PageRequest): Promise<Page<SpaceView>>;
  /**
   * For each of many devices at once the spaces of its person, in the same order and not more than `limit`, with how far
   * the device's mutations have got.
   */
  sessionsOf(
    devices: readonly { readonly userId: string; readonly device: string }[],
    limit: number,
  ): Promise<readonly (readonly SpaceView[])[]>;
  /** In how many team spaces the person is: made by the person, and by others. */
  memberships(userId: string): Promise<{ readonly made: number; readonly joined: number }>;
  /** Undefined unless the person is a member. */
  spaceOf(userId: string, space: string): Promise<SpaceView | undefined>;
  membersOf(space: string, page: PageRequest): Promise<Page<{ userId: string; role: Role }>>;
  /** Events after an offset, oldest first, without a gap. */
  events(space: string, after: number, limit: number): Promise<LoggedEvent[]>;
  /** Whether this was a person who is erased. */
  isErased(userId: string): Promise<boolean>;
  positions(spaces: readonly string[]): Promise<SpacePosition[]>;
  runningTurns(spaces: readonly string[]): Promise<RunningTurn[]>;
}

/** Making spaces: the few writes that have no log yet to be ordered in. */
export interface SpaceMaker {
  /**
   * Makes the space with its owner unless it is there; any number of callers at once. Returns its title. `not_found`
   * for an owner who was erased.
   */
  make(space: {
    readonly id: string;
    readonly kind: 'personal' | 'team';
    readonly title: string;
    readonly epoch: string;
    readonly owner: string;
    readonly nowMs: number;
  }): Promise<string>;
}

/** A device, whose it is, and what it came with. */
export interface OwnDevice {
  readonly userId: string;
  readonly device: DeviceInfo;
  readonly login?: Login | undefined;
}

/** A device as it is listed: what ends with it, last seen first, a hundred of each kind at most. */
export interface ListedDevice extends DeviceRow {
  readonly sessionIds: readonly string[];
  readonly tokenIds: readonly string[];
}

/** What a device says it has: events up to an offset, results up to a seq; `epoch` empty: of the log there is. */
export interface Acknowledged {
  readonly epoch: string;
  readonly offset: number;
  readonly seq: number;
}

/** Devices, as far as they are not part of a space's log. */
export interface DeviceStore {
  /**
   * Notes devices as seen now, and the logins they came with; platform and name of one that has announced itself
   * stay.
   */
  touch(devices: readonly OwnDevice[], nowMs: number): Promise<void>;
  /** Notes devices that are known as seen now. */
  seen(devices: readonly { readonly userId: string; readonly id: string }[], nowMs: number): Promise<void>;
  /** The person's devices, last seen first; the newest 200, or the one that is named. */
  list(userId: string, id?: string): Promise<readonly ListedDevice[]>;
  /** The device, its logins, its positions and its kept results. */
  remove(userId: string, id: string): Promise<boolean>;
  /**
   * Cumulative; what was acknowledged before stays. Forgets the results up to `seq`. What belongs to another log, or to
   * a seq the device has not got to in this one, is passed over: it was on its way during a restore. Returns false
   * unless the person is a member.
   */
  ack(userId: string, device: string, space: string, reached: Acknowledged): Promise<boolean>;
  /** How far a device has acknowledged a space; 0 for one that never did. */
  ackedOffset(userId: string, device: string, space: string): Promise<number>;
}

/** Reading what was said. */
export interface History {
  /** Newest change first. */
  conversations(space: string, page: PageRequest): Promise<Page<ConversationRow>>;
  hasConversation(space: string, conversation: string): Promise<boolean>;
  /** A message as the conversation has it: how many there are up to it, its title and how deep a fork it is. */
  placeOf(
    space: string,
    conversation: string,
    message: string,
  ): Promise<{ readonly count: number; readonly title: string; readonly depth: number } | undefined>;
  /** Over one conversation or all of them; pages go back from the newest, each oldest first. */
  messages(space: string, conversation: string | undefined, page: PageRequest): Promise<Page<MessageRow>>;
  /** Recent messages that hold one of the terms; a bounded look back. */
  containing(space: string, terms: readonly string[]): Promise<readonly MessageRow[]>;
}

/** The whole state of a space at one offset, in parts. */
export interface Snapshot {
  readonly epoch: string;
  readonly offset: number;
  /** JSON texts `{documents, conversations}`, at least one; the last one also has `stateHash`. */
  readonly parts: readonly string[];
  /** To be called once it is no longer held: snapshots that are read count against a bound until then. */
  release(): void;
}

/** Reading whole states. */
export interface Snapshots {
  /** All of one moment. Errors: `overloaded`, `too_large`. */
  read(space: string, signal: AbortSignal): Promise<Snapshot>;
}

/** Reading the state a space had. */
export interface PastStates {
  /** The offset of the last event that is not younger than a time; 0 when there is none. */
  offsetAt(space: string, timeMs: number): Promise<number>;
  /**
   * As a snapshot then would have been, out of the log. The offset must not be above the head. Errors: `overloaded`,
   * `too_large`.
   */
  read(
    space: string,
    at: { readonly epoch: string; readonly offset: number },
    signal: AbortSignal,
  ): Promise<Snapshot>;
}

/** What the documents of a space add up to at one position. */
export interface SpaceStateHash {
  readonly space: string;
  readonly epoch: string;
  readonly offset: number;
  readonly stateHash: string;
}

/** Reading state hashes without the state. */
export interface StateHashes {
  /** Each with its position, of one moment; spaces that are not there are left out. Errors: `overloaded`. */
  read(spaces: readonly string[], signal: AbortSignal): Promise<readonly SpaceStateHash[]>;
}

/** Which version of a document a client has. */
export interface KnownDocument {
  readonly collection: string;
  readonly id: string;
  readonly version: number;
  readonly hash: string;
}

/** Reading documents. */
export interface DocumentReads {
  /** Live documents by collection and id; an empty collection means all. */
  list(space: string, collection: string, page: PageRequest): Promise<Page<DocumentRow>>;
  /** Undefined when there is none, also when it was deleted. */
  get(space: string, collection: string, id: string): Promise<DocumentRow | undefined>;
  /**
   * What differs from what the client has, page by page: `next` is the cursor of the page after, undefined on the last
   * one. `gone` is all on the first. `offset` is that of the moment the page was read.
   */
  compare(
    space: string,
    known: readonly KnownDocument[],
    cursor?: string,
  ): Promise<{
    readonly offset: number;
    readonly documents: readonly DocumentRow[];
    readonly gone: readonly KnownDocument[];
    readonly next: string | undefined;
  }>;
  /**
   * Documents changed after an offset in its order, deleted ones as well, without the session's; `offset` is how far
   * they reach.
   */
  changedAfter(
    space: string,
    after: number,
  ): Promise<{ readonly offset: number; readonly epoch: string; readonly documents: readonly DocumentRow[] }>;
  /**
   * All documents but the session's that a classic client does not have at exactly this version, deleted ones as
   * far as it names them; page by page as `compare`.
   */
  classicDifference(
    space: string,
    known: readonly { readonly id: string; readonly version: number }[],
    cursor?: string,
  ): Promise<{
    readonly offset: number;
    readonly epoch: string;
    readonly documents: readonly DocumentRow[];
    /** Ids there is no document for; all on the first page. */
    readonly unknown: readonly string[];
    readonly next: string | undefined;
  }>;
}

/** Reading conflicts. */
export interface ConflictReads {
  /** Newest first; of one state, or of all when it is empty. A page also ends where its values grow too large. */
  list(space: string, state: '' | ConflictRow['state'], page: PageRequest): Promise<Page<ConflictRow>>;
}

/** Leftovers of a collection are kept for so many days. */
export interface Retention {
  readonly collection: string;
  readonly days: number;
}

/** The cold part of the log, which is read like the rest. */
export interface Archive {
  /**
   * Moves events written before a time there, of some spaces after those of the last call. `done`: there are no more
   * spaces in this round, or another replica is at it.
   */
  run(beforeMs: number, signal: AbortSignal): Promise<{ readonly moved: number; readonly done: boolean }>;
}

/** Finding what is left over. */
export interface Sweeps {
  /** Turns without an end that began before a time. */
  overdueTurns(beforeMs: number, limit: number): Promise<readonly Pick<RunningTurn, 'space' | 'turnId'>[]>;
  /**
   * Results beyond the newest thousand of a device that does not acknowledge; devices unseen for long; answers older
   * than a day; useless invitations; health records of ended sagas; what collections do not keep.
   */
  forget(nowMs: number, retained: readonly Retention[]): Promise<void>;
}
