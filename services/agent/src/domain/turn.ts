/** How a turn ended. */
export type TurnOutcome = 'completed' | 'cancelled' | 'failed';

/** Where a turn is. */
export type TurnState = 'queued' | 'streaming' | 'done' | 'cancelled' | 'failed';

/** The state an outcome leaves behind. */
export const stateOf: Readonly<Record<TurnOutcome, TurnState>> = {
  completed: 'done',
  cancelled: 'cancelled',
  failed: 'failed',
};

/** Whether a turn has ended. */
export const hasEnded = (state: TurnState): boolean => state !== 'queued' && state !== 'streaming';

/** One answer being made. It belongs to the session: no connection's end touches it. */
export interface Turn {
  readonly id: string;
  readonly space: string;
  readonly conversationId: string;
  /** The person's message that asks. */
  readonly questionId: string;
  /** The answer's message; empty until the session said it. */
  readonly messageId: string;
  readonly userId: string;
  readonly persona: string;
  /** Trace context of the message that asked, so that the answer is part of its trace. */
  readonly traceparent: string | undefined;
  readonly state: TurnState;
  /** The text so far; whole once the turn has ended. */
  readonly text: string;
}

/** A turn that this process holds; every write carries the fence, so that a paused owner cannot write. */
export interface HeldTurn extends Turn {
  readonly fence: number;
  /** From 1; more than one means that an earlier owner was lost. */
  readonly attempt: number;
  readonly cancelRequested: boolean;
  /** Set when an earlier owner had decided the end but not told the session. */
  readonly decided: Ending | undefined;
}

/** The decided end of a turn. */
export interface Ending {
  readonly outcome: TurnOutcome;
  readonly text: string;
  /** Why it failed, for programs; empty otherwise. */
  readonly errorCode: string;
  /** Facts shown with the answer: model, offline, sources. */
  readonly meta: Readonly<Record<string, unknown>>;
}

/** Owners a turn may lose before it is failed instead of started again. */
export const maxAttempts = 5;

/** Length in Unicode code points, the unit of `from` on the wire. */
export const codePoints = (text: string): number => {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
};

/** Cuts a text so that no surrogate pair is split: the second part begins with the half that waits for its other. */
export const splitWhole = (text: string): readonly [whole: string, rest: string] => {
  const last = text.charCodeAt(text.length - 1);
  const isHighSurrogate = last >= 0xd800 && last <= 0xdbff;
  return isHighSurrogate ? [text.slice(0, -1), text.slice(-1)] : [text, ''];
};

/** Longest answer, in UTF-16 units: below the 64 KB of a message in most scripts, cut with a mark beyond it. */
export const maxAnswerLength = 20_000;

/** When a UUIDv7 was made, in epoch milliseconds (RFC 9562, section 5.7); undefined for any other text. */
export const timeOfUuid7 = (id: string): number | undefined => {
  const [, high, low] =
    /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.exec(id) ?? [];
  return high === undefined || low === undefined ? undefined : Number.parseInt(high + low, 16);
};
