import type { InvitationRow, InvitationUseRow } from './invitation-row.ts';
import type { Role } from './role.ts';

export type { Role };

/** How a turn ended. */
export type TurnOutcome = 'completed' | 'cancelled' | 'failed';

/** A conversation as its row says. */
export interface ConversationRow {
  readonly id: string;
  readonly space: string;
  readonly title: string;
  readonly parent: string | null;
  readonly forkedAt: string | null;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  /** Id of the newest message. */
  readonly head: string | null;
  readonly count: number;
  readonly offset: number;
}

/** A message as its row says. */
export interface MessageRow {
  readonly id: string;
  readonly space: string;
  readonly conversationId: string;
  readonly role: 'user' | 'assistant';
  readonly text: string;
  readonly offset: number;
  readonly timeMs: number;
  /** Null for answers. */
  readonly userId: string | null;
  readonly platform: string;
  readonly persona: string;
  readonly turnId: string | null;
  readonly clientMessageId: string | null;
  readonly state: 'complete' | 'cancelled' | 'failed';
  /** JSON texts. */
  readonly attachments: string | null;
  readonly meta: string | null;
}

/** A turn, and its end when there is one. */
export interface TurnRow {
  readonly id: string;
  readonly space: string;
  readonly conversationId: string;
  readonly messageId: string;
  readonly answerId: string;
  readonly userId: string;
  readonly persona: string;
  readonly state: 'queued' | 'streaming' | 'ended';
  readonly createdAtMs: number;
  readonly startedOffset: number;
  readonly outcome?: TurnOutcome | null | undefined;
  readonly endOffset?: number | null | undefined;
}

/** The one end of a turn. */
export interface TurnEndRow {
  readonly space: string;
  readonly turnId: string;
  readonly outcome: TurnOutcome;
  readonly offset: number;
  readonly timeMs: number;
}

/** A document; a deleted one is kept as a tombstone with its last value. */
export interface DocumentRow {
  readonly space: string;
  readonly collection: string;
  readonly id: string;
  /** Grows with every write; what classic clients know. One of these may raise it without an event. */
  readonly version: number;
  /** As the last event about the document said: what everybody else knows, and what the state hash is made of. */
  readonly loggedVersion: number;
  /** JSON text. */
  readonly value: string;
  readonly hash: string;
  readonly offset: number;
  /** JSON text `{field path: {version, hlc}}`. */
  readonly fields: string;
  readonly deleted: boolean;
  readonly updatedAtMs: number;
  readonly clientTimeMs: number;
}

/** How far a device's mutations have got in a space. */
export interface SeqRow {
  readonly space: string;
  readonly userId: string;
  readonly device: string;
  readonly lastSeq: number;
}

/** What became of one mutation, kept until it is acknowledged. */
export interface ResultRow {
  readonly space: string;
  readonly userId: string;
  readonly device: string;
  readonly seq: number;
  readonly hash: string;
  /** JSON text of the MutationResult; null when it was not read, because an answer does not hold that much. */
  readonly result: string | null;
}

/** Both sides of one conflict; the losing value is never thrown away. */
export interface ConflictRow {
  readonly id: string;
  readonly space: string;
  readonly collection: string;
  readonly documentId: string;
  /** Field key; empty for the whole document. */
  readonly field: string;
  readonly strategy: string;
  /** What chose, or stands for a person until one does. */
  readonly resolver: string;
  readonly state: 'open' | 'settled' | 'resolved' | 'undone';
  readonly winner: 'server' | 'client';
  /** JSON texts; null: not there. */
  readonly serverValue: string | null;
  readonly clientValue: string | null;
  /** Hash of the client's value; empty when it is not there. */
  readonly clientHash: string;
  readonly baseVersion: number;
  /** The version the client met. */
  readonly serverVersion: number;
  /** The document's right after it was settled. */
  readonly version: number;
  readonly userId: string;
  readonly device: string;
  readonly seq: number | null;
  readonly createdAtMs: number;
  /** How a person ended it; null before. */
  readonly choice: 'server' | 'client' | 'value' | null;
  readonly closedVersion: number | null;
  readonly closedAtMs: number | null;
  readonly closedBy: string | null;
}

/** The end a person gives a conflict. */
export interface ConflictEndRow {
  readonly id: string;
  readonly state: 'resolved' | 'undone';
  readonly choice: 'server' | 'client' | 'value';
  readonly closedVersion: number;
  readonly closedAtMs: number;
  readonly closedBy: string;
}

/** What tells whether a conflict is open already; without its values, of which there may be many. */
export type OpenConflict = Pick<
  ConflictRow,
  | 'id'
  | 'space'
  | 'collection'
  | 'documentId'
  | 'field'
  | 'clientHash'
  | 'baseVersion'
  | 'userId'
  | 'device'
  | 'seq'
>;

/** A membership; `role` null ends it. */
export interface MemberRow {
  readonly space: string;
  readonly userId: string;
  readonly role: Role | null;
  readonly joinedAtMs: number;
}

/** An installation of one person. */
export interface DeviceRow {
  readonly userId: string;
  readonly id: string;
  readonly platform: string;
  readonly name: string;
  readonly lastSeenMs: number;
  /** Whether it has announced itself; before that it was only seen. */
  readonly registered: boolean;
}

/** The answer to a request with an idempotency key. */
export interface RequestRow {
  readonly userId: string;
  readonly method: string;
  readonly key: string;
  /** The same key with another one is refused. */
  readonly bodyHash: string;
  /** JSON text `{value}` of the answer. */
  readonly result: string;
}

/** An entry of the integrity ledger; salt and record are null once they are erased. */
export interface LedgerRow {
  readonly space: string;
  readonly position: number;
  /** H(previous hash ‖ commitment), and H(salt ‖ record), in hex. */
  readonly hash: string;
  readonly commitment: string;
  readonly salt: string | null;
  /** JSON text of a `LedgerRecord`. */
  readonly record: string | null;
}

/** A step of a saga that was done here, or taken back (also before it came). */
export interface StepRow {
  /** `saga:step`. */
  readonly key: string;
  /** JSON text `{value}` of what it gave; null when it was taken back. */
  readonly result: string | null;
  readonly undone: boolean;
  /** Whether it was in the database before this flush. */
  readonly stored: boolean;
}

/** The rows one decision changes. Several decisions of one flush add up; the last row of a key counts. */
export interface Writes {
  readonly conversations?: readonly ConversationRow[];
  readonly messages?: readonly MessageRow[];
  readonly turns?: readonly TurnRow[];
  readonly turnEnds?: readonly TurnEndRow[];
  readonly documents?: readonly DocumentRow[];
  readonly seqs?: readonly SeqRow[];
  readonly results?: readonly ResultRow[];
  readonly conflicts?: readonly ConflictRow[];
  readonly conflictEnds?: readonly ConflictEndRow[];
  readonly members?: readonly MemberRow[];
  readonly devices?: readonly DeviceRow[];
  readonly requests?: readonly RequestRow[];
  /** New ones, and those that end earlier than they were to. */
  readonly invitations?: readonly InvitationRow[];
  readonly invitationUses?: readonly InvitationUseRow[];
  /** Used ones of whoever has left. */
  readonly invitationsGone?: readonly Pick<InvitationRow, 'id' | 'space'>[];
  readonly ledger?: readonly LedgerRow[];
  readonly steps?: readonly StepRow[];
}

/** Which rows of its space a decision looks at. */
export interface Needs {
  /** Roles of these people. */
  readonly members?: readonly string[] | undefined;
  /** All owners, to keep the last one. */
  readonly owners?: boolean | undefined;
  readonly clientMessage?: { readonly userId: string; readonly id: string } | undefined;
  readonly conversation?: string | undefined;
  readonly newestConversation?: boolean | undefined;
  /** The turn, its conversation, and the role of the person who asked. */
  readonly turn?: string | undefined;
  readonly documents?: readonly { readonly collection: string; readonly id: string }[] | undefined;
  /** Its last seq, and the kept results of these. */
  readonly seq?:
    | { readonly userId: string; readonly device: string; readonly seqs: readonly number[] }
    | undefined;
  readonly device?: { readonly userId: string; readonly id: string } | undefined;
  /** Open conflicts of these documents. */
  readonly openConflicts?: boolean | undefined;
  /** One conflict, whole, and its document. */
  readonly conflict?: string | undefined;
  readonly invitation?: string | undefined;
  /**
   * What these people came in by, and what they are invited by and have not accepted: by name, and by the address they
   * have, as far as it is said or was known when they came in.
   */
  readonly invited?: readonly { readonly userId: string; readonly email?: string }[] | undefined;
  /** The remembered answer of this request. */
  readonly request?: Pick<RequestRow, 'userId' | 'method' | 'key'> | undefined;
  /** The newest entry of the integrity ledger. */
  readonly ledger?: boolean | undefined;
  /** What is known of this step of a saga. */
  readonly step?: string | undefined;
}

/** What is known of one space while decisions are made: the rows asked for, as of one moment of the log. */
export interface SpaceState {
  readonly id: string;
  readonly kind: 'personal' | 'team';
  readonly title: string;
  readonly epoch: string;
  head: number;
  readonly roles: Map<string, Role>;
  readonly conversations: Map<string, ConversationRow>;
  readonly messages: Map<string, MessageRow>;
  readonly turns: Map<string, TurnRow>;
  readonly documents: Map<string, DocumentRow>;
  readonly seqs: Map<string, number>;
  readonly results: Map<string, ResultRow>;
  readonly devices: Map<string, DeviceRow>;
  readonly openConflicts: Map<string, OpenConflict>;
  readonly conflicts: Map<string, ConflictRow>;
  readonly requests: Map<string, RequestRow>;
  readonly invitations: Map<string, InvitationRow>;
  readonly steps: Map<string, StepRow>;
  /** The newest entry; undefined when there is none. */
  ledger: Pick<LedgerRow, 'position' | 'hash'> | undefined;
}

/** Key of a pair or triple in the maps of a state. */
export const keyOf = (...parts: readonly (string | number)[]): string => parts.join('\u0000');

/** A space as read, before its rows are put in. */
export const emptyState = (
  space: Pick<SpaceState, 'id' | 'kind' | 'title' | 'epoch' | 'head'>,
): SpaceState => ({
  ...space,
  roles: new Map(),
  conversations: new Map(),
  messages: new Map(),
  turns: new Map(),
  documents: new Map(),
  seqs: new Map(),
  results: new Map(),
  devices: new Map(),
  openConflicts: new Map(),
  conflicts: new Map(),
  requests: new Map(),
  invitations: new Map(),
  steps: new Map(),
  ledger: undefined,
});

/** The newest conversation of those known. */
export const newestConversation = (state: SpaceState): ConversationRow | undefined => {
  let newest: ConversationRow | undefined;
  for (const one of state.conversations.values())
    if (
      !newest ||
      one.updatedAtMs > newest.updatedAtMs ||
      (one.updatedAtMs === newest.updatedAtMs && one.id > newest.id)
    )
      newest = one;
  return newest;
};

/** Puts what a decision wrote into the state, so that the next decision of the flush builds on it. */
export const evolve = (state: SpaceState, events: number, writes: Writes): void => {
  state.head += events;
  for (const row of writes.conversations ?? []) state.conversations.set(row.id, row);
  for (const row of writes.messages ?? [])
    if (row.userId !== null && row.clientMessageId !== null)
      state.messages.set(keyOf(row.userId, row.clientMessageId), row);
  for (const row of writes.turns ?? []) state.turns.set(row.id, row);
  for (const { turnId, outcome, offset } of writes.turnEnds ?? []) {
    const turn = state.turns.get(turnId);
    if (turn) state.turns.set(turnId, { ...turn, state: 'ended', outcome, endOffset: offset });
  }
  for (const row of writes.documents ?? []) state.documents.set(keyOf(row.collection, row.id), row);
  for (const row of writes.seqs ?? []) state.seqs.set(keyOf(row.userId, row.device), row.lastSeq);
  for (const row of writes.results ?? []) state.results.set(keyOf(row.userId, row.device, row.seq), row);
  for (const row of writes.conflicts ?? []) {
    state.conflicts.set(row.id, row);
    if (row.state === 'open') state.openConflicts.set(row.id, row);
  }
  for (const row of writes.conflictEnds ?? []) {
    const known = state.conflicts.get(row.id);
    if (known) state.conflicts.set(row.id, { ...known, ...row });
    state.openConflicts.delete(row.id);
  }
  for (const { userId, role } of writes.members ?? []) {
    if (role === null) state.roles.delete(userId);
    else state.roles.set(userId, role);
  }
  for (const row of writes.invitations ?? []) state.invitations.set(row.id, row);
  for (const { id, usedBy, personEmail } of writes.invitationUses ?? []) {
    const known = state.invitations.get(id);
    if (known) state.invitations.set(id, { ...known, acceptedBy: usedBy, personEmail });
  }
  for (const { id } of writes.invitationsGone ?? []) state.invitations.delete(id);
  for (const row of writes.devices ?? []) state.devices.set(keyOf(row.userId, row.id), row);
  for (const row of writes.requests ?? []) state.requests.set(keyOf(row.userId, row.method, row.key), row);
  for (const row of writes.steps ?? []) state.steps.set(row.key, row);
  state.ledger = writes.ledger?.at(-1) ?? state.ledger;
};
