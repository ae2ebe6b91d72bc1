import { AppError } from '@skein/contracts';
import { keyOf } from '../../domain/state.ts';

/** A few tokens of a running answer; `from` counts code points. */
export interface Tokens {
  readonly space: string;
  readonly conversationId: string;
  readonly turnId: string;
  readonly messageId: string;
  readonly from: number;
  readonly text: string;
}

/** What is sent now or never. */
export type Passing =
  | { readonly kind: 'tokens'; readonly tokens: Tokens }
  | { readonly kind: 'presence'; readonly space: string }
  | { readonly kind: 'ephemeral'; readonly space: string; readonly key: string; readonly json: string };

/** Ephemeral frames waiting for one stream: the latest per key, tokens of a turn joined. */
export interface PassingQueue {
  put(passing: Passing): void;
  take(): Passing | undefined;
  /** Drops what is waiting for a space that is not followed any more. */
  forget(space: string): void;
  readonly size: number;
}

/** Keys one stream may have waiting. Beyond it the reader has stopped reading. */
const maxKeys = 10_000;
/** Text of one turn that may wait. A reader so late asks for the whole turn anyway. */
const maxText = 64 * 1024;

const codePoints = (text: string): number => {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
};

/** Makes an empty queue. `put` throws `overloaded` when it is full. */
export const passingQueue = (): PassingQueue => {
  const waiting = new Map<string, Passing>();
  const keyFor = (passing: Passing): string =>
    passing.kind === 'tokens'
      ? keyOf('t', passing.tokens.turnId)
      : passing.kind === 'presence'
        ? keyOf('p', passing.space)
        : keyOf('e', passing.space, passing.key);
  const joined = (before: Passing | undefined, next: Passing): Passing | undefined => {
    if (before?.kind !== 'tokens' || next.kind !== 'tokens') return next;
    const { tokens } = before;
    if (next.tokens.from <= tokens.from) return next;
    // Not what follows: the reader will see the hole and ask for the turn.
    if (tokens.from + codePoints(tokens.text) !== next.tokens.from) return next;
    const text = tokens.text + next.tokens.text;
    return text.length > maxText ? undefined : { kind: 'tokens', tokens: { ...tokens, text } };
  };
  return {
    get size() {
      return waiting.size;
    },
    put: (passing) => {
      const key = keyFor(passing);
      const next = joined(waiting.get(key), passing);
      if (!next) {
        waiting.delete(key);
        return;
      }
      if (!waiting.has(key) && waiting.size >= maxKeys)
        throw new AppError('overloaded', 'The reader is too slow; open the stream again');
      waiting.set(key, next);
    },
    take: () => {
      const [first] = waiting;
      if (!first) return undefined;
      waiting.delete(first[0]);
      return first[1];
    },
    forget: (space) => {
      for (const [key, one] of waiting)
        if ((one.kind === 'tokens' ? one.tokens.space : one.space) === space) waiting.delete(key);
    },
  };
};
