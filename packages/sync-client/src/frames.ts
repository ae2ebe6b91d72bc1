/** One change in a space's log. `data` depends on `type`; unknown types only move the position. */
export interface SyncEvent {
  readonly id: string;
  readonly type: string;
  /** Epoch milliseconds. */
  readonly timeMs: number;
  readonly actor: { readonly kind: string; readonly platform: string; readonly device?: string };
  readonly data: Fields;
}

/** Fields of a JSON object, not yet looked at. */
export type Fields = { readonly [name: string]: unknown };

/** Where one followed stream stands: the head, or why it cannot be followed. */
export interface StreamStart {
  readonly space: string;
  readonly epoch: string;
  readonly offset: number;
  /** Everything after the position we named follows; false: a snapshot follows instead. */
  readonly recovered: boolean;
  /** The last mutation of this device that the server has settled; absent where it cannot say. */
  readonly lastSeq?: number;
  readonly error?: string;
}

/** A replicated value. `hash` is the server's SHA-256 of its canonical JSON. */
export interface Document {
  readonly collection: string;
  readonly id: string;
  readonly version: number;
  readonly hash: string;
  readonly value: unknown;
}

/** A conversation as a snapshot lists it: its newest message's id and how many there are. */
export interface ConversationHead {
  readonly id: string;
  readonly title: string;
  readonly head: string;
  readonly count: number;
}

/** One device of somebody in the space. */
export interface PresentDevice {
  readonly user: string;
  readonly device: string;
  readonly platform: string;
  readonly name: string;
  readonly connected: boolean;
  /** Epoch milliseconds; 0 when not told. */
  readonly lastSeenMs: number;
}

export interface WelcomeFrame {
  readonly type: 'welcome';
  readonly connection: string;
  readonly user: string;
  readonly device: string;
  readonly streams: readonly StreamStart[];
  readonly authExpiresAtMs: number;
  readonly pingMs: number;
  readonly serverTimeMs: number;
}

export interface SnapshotFrame {
  readonly type: 'snapshot';
  readonly space: string;
  readonly epoch: string;
  readonly offset: number;
  readonly part: number;
  readonly parts: number;
  readonly documents: readonly Document[];
  readonly conversations: readonly ConversationHead[];
}

export interface TokenFrame {
  readonly type: 'token';
  readonly space: string;
  readonly conversationId: string;
  readonly turnId: string;
  readonly messageId: string;
  /** Code points of the answer that come before `text`. */
  readonly from: number;
  readonly text: string;
}

/** Why a command was refused. `retryable`: the same frame may work later. */
export interface ErrorFrame {
  readonly type: 'error';
  readonly id?: string;
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly retryAfterMs?: number;
  /** Of `expected_seq`: the number the server waits for. */
  readonly expectedSeq?: number;
}

/** Every server frame this client acts on (`/v1/connect`). */
export type ServerFrame =
  | WelcomeFrame
  | SnapshotFrame
  | TokenFrame
  | ErrorFrame
  | {
      readonly type: 'event';
      readonly space: string;
      readonly epoch: string;
      readonly offset: number;
      readonly event: SyncEvent;
    }
  | {
      readonly type: 'check';
      readonly space: string;
      readonly epoch: string;
      readonly offset: number;
      readonly stateHash: string;
    }
  | {
      readonly type: 'sync_response';
      readonly space: string;
      readonly offset: number;
      readonly documents: readonly Document[];
      readonly gone: readonly { readonly collection: string; readonly id: string }[];
    }
  | { readonly type: 'subscribed'; readonly stream: StreamStart }
  | { readonly type: 'unsubscribed'; readonly space: string; readonly reason: string }
  | { readonly type: 'presence'; readonly space: string; readonly devices: readonly PresentDevice[] }
  | {
      readonly type: 'typing';
      readonly space: string;
      readonly conversationId: string;
      readonly user: string;
      readonly device: string;
    }
  | {
      readonly type: 'status';
      readonly kind: string;
      readonly id: string;
      readonly state: string;
      readonly label: string;
    }
  | { readonly type: 'result'; readonly id: string; readonly fields: Fields }
  | { readonly type: 'pong' };

/** A frame this client sends. `id` asks for exactly one `result` or `error`. */
export interface ClientFrame extends Fields {
  readonly type: string;
  readonly id?: string;
}
