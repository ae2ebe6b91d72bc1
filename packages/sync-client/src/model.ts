import type { Mutation, MutationQueue, MutationResult } from '@skein/sync-core';
import type { ConversationHead, Document, PresentDevice } from './frames.ts';
import type { Outbox } from './outbox.ts';

/** How far a space's log is applied here. Moves only by an event or a finished snapshot. */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
  /** Id of the event at `offset`; unknown right after a snapshot. */
  readonly lastId?: string;
}

/** One message as it is shown. A `streaming` one is an answer being made. */
export interface ChatMessage {
  readonly id: string;
  readonly role: 'user' | 'assistant';
  readonly text: string;
  readonly state: 'complete' | 'streaming' | 'cancelled' | 'failed';
  readonly timeMs: number;
  readonly turnId?: string;
  readonly clientMessageId?: string;
  /** Where it was written: web, cli, telegram, … */
  readonly platform: string;
  readonly persona: string;
  /** Made by the built-in answerer, with no model behind it. */
  readonly offline: boolean;
  readonly edited: boolean;
  /** Code of the fault of a failed answer. */
  readonly errorCode: string;
}

/**
 * What is known of a conversation. `history` says how its messages relate to the server's: `none` nothing was
 * loaded, `stale` there may be a hole before the newest, `loaded` gap-free up to the newest.
 */
export interface Conversation {
  readonly id: string;
  readonly title: string;
  readonly count: number;
  readonly updatedMs: number;
  readonly messages: readonly ChatMessage[];
  readonly history: 'none' | 'stale' | 'loaded';
  /** Cursor to older messages; absent when the first message is here or nothing was loaded. */
  readonly older?: string;
}

/** Parts of a snapshot that has not ended yet. */
export interface PartialSnapshot {
  readonly epoch: string;
  readonly offset: number;
  readonly parts: number;
  readonly got: number;
  readonly documents: readonly Document[];
  readonly conversations: readonly ConversationHead[];
}

/** One space, as far as it is applied. */
export interface SpaceState {
  readonly position?: Position;
  /** A snapshot was asked for or announced: events wait behind it. */
  readonly awaiting: boolean;
  readonly partial?: PartialSnapshot;
  readonly documents: { readonly [key: string]: Document };
  readonly conversations: { readonly [id: string]: Conversation };
  readonly presence: readonly PresentDevice[];
  /** Grows with every event that may have changed the list of conflicts. */
  readonly conflictNews: number;
  /** Conversation id → when somebody's typing stops being shown, epoch milliseconds. */
  readonly typing: { readonly [conversationId: string]: number };
  /** Why the server does not let us follow it. */
  readonly refused?: string;
}

/** An answer being made. */
export interface RunningTurn {
  readonly space: string;
  readonly conversationId: string;
  readonly messageId: string;
  /** Code points we have. */
  readonly points: number;
  /** The connection that last spoke of it: a turn an older one left behind does not survive a snapshot. */
  readonly connection: string;
  /** What it is doing right now, as the answerer says it. */
  readonly label: string;
}

/** The queue of each space. */
export type Queues = { readonly [space: string]: MutationQueue };

/** The log of each space that its queue was made on: its epoch, and what the device had of the documents it changed. */
export type Logs = {
  readonly [space: string]: { readonly epoch: string; readonly hashes: { readonly [key: string]: string } };
};

/** A change that is in, and whose event has not come yet: shown on top until it has. */
export interface Settling {
  readonly space: string;
  readonly mutation: Mutation;
  /** Where its event will be. */
  readonly epoch: string;
  readonly offset: number;
}

/** A change that is not in as it was meant, for the person to read. */
export interface Unsettled {
  readonly key: string;
  readonly mutation: Mutation;
  readonly outcome: MutationResult['outcome'];
  /** Why, when it was rejected. */
  readonly code: string;
  /** Where both sides are kept. */
  readonly conflictId?: string;
}

/** Everything the page knows, and the only thing it draws from. Values are never changed in place. */
export interface SessionState {
  /** The personal space's id, once a welcome has named it. */
  readonly home?: string;
  readonly connection: string;
  readonly user: string;
  readonly device: string;
  readonly spaces: { readonly [id: string]: SpaceState };
  readonly turns: { readonly [id: string]: RunningTurn };
  /** Turns that have an end, newest last, at most `endedTurnsMax`: later tokens of them are ignored. */
  readonly ended: readonly string[];
  readonly outbox: Outbox;
  /** Changes of documents the server has not answered, by space. */
  readonly queues: Queues;
  /** What they were made on. */
  readonly logs: Logs;
  readonly settling: readonly Settling[];
  readonly unsettled: readonly Unsettled[];
}

/** More than a person can have running at once many times over; bounds memory of a page left open for days. */
export const endedTurnsMax = 500;

/** The state before anything is known. */
export const emptyState: SessionState = {
  connection: '',
  user: '',
  device: '',
  spaces: {},
  turns: {},
  ended: [],
  outbox: [],
  queues: {},
  logs: {},
  settling: [],
  unsettled: [],
};

/** A space of which nothing is known yet. */
export const emptySpace: SpaceState = {
  awaiting: false,
  documents: {},
  conversations: {},
  presence: [],
  conflictNews: 0,
  typing: {},
};

/** What the driver has to do because of a frame. */
export type Effect =
  /** Tokens were lost: read the text so far by REST. */
  | { readonly kind: 'fetchTurn'; readonly turnId: string }
  /** Follow again from the position, or from a snapshot when there is none. */
  | { readonly kind: 'subscribe'; readonly space: string; readonly position?: Position }
  /** Compare our documents with this hash. */
  | { readonly kind: 'check'; readonly space: string; readonly stateHash: string };

/** A new state and what follows from it. */
export interface Applied {
  readonly state: SessionState;
  readonly effects: readonly Effect[];
}

/** The state with one space changed; a missing one starts empty. */
export function withSpace(
  state: SessionState,
  id: string,
  change: (space: SpaceState) => SpaceState,
): SessionState {
  return { ...state, spaces: { ...state.spaces, [id]: change(state.spaces[id] ?? emptySpace) } };
}

/** The space with one conversation changed; a missing one starts with nothing loaded. */
export function withConversation(
  space: SpaceState,
  id: string,
  change: (conversation: Conversation) => Conversation,
): SpaceState {
  const before = space.conversations[id] ?? {
    id,
    title: '',
    count: 0,
    updatedMs: 0,
    messages: [],
    history: 'none' as const,
  };
  return { ...space, conversations: { ...space.conversations, [id]: change(before) } };
}

/** The key of a document in `SpaceState.documents`. NUL cannot be part of a collection's name. */
export function documentKey(collection: string, id: string): string {
  return `${collection}\u0000${id}`;
}
