import type { WrittenStatus } from './fault.ts';

/**
 * Small unary calls of one client, carried over one bidirectional stream of the same service: HTTP/2 and gRPC make a
 * stream, headers and trailers for each call, which costs more than most of what is called. A definition that offers
 * it has a method with messages of this shape for the method that is carried; both are allowed to the same callers.
 */

/** One call with what would be its metadata. */
export interface CarriedCall {
  /** Different for all calls of one stream. */
  readonly number: number;
  readonly authorization: string;
  readonly traceparent: string;
  readonly correlationId: string;
  readonly timeoutMs: number;
  readonly request: Buffer;
}

/** Calls, and those of which nobody waits for the answer any more. */
export interface CarriedCalls {
  readonly calls: readonly CarriedCall[];
  readonly cancelled: readonly number[];
}

/** The answer to one call; status 0: `response` is what it returned. */
export interface CarriedAnswer extends WrittenStatus {
  readonly number: number;
  readonly response: Buffer;
}

/** Answers. The first message has none: it says that calls are taken. */
export interface CarriedAnswers {
  readonly answers: readonly CarriedAnswer[];
  /** No more calls on this stream: those under way are answered, then it ends. */
  readonly ending: boolean;
}

/** Something that is done once however often it is asked for, when `soon` says that the moment has come. */
export const onceIn = (soon: (work: () => void) => void, work: () => void): (() => void) => {
  let asked = false;
  const run = () => {
    asked = false;
    work();
  };
  return () => {
    if (asked) return;
    asked = true;
    soon(run);
  };
};

/** What goes in one message, well below the 4 MB of a gRPC message; something larger goes alone. */
const messageBytes = 1_000_000;

/** Takes the first ones out of a list, as many as fit one message. */
export const takeMessage = <T>(list: T[], sizeOf: (one: T) => number): T[] => {
  let bytes = 0;
  let count = 0;
  for (const one of list) {
    bytes += sizeOf(one);
    if (count > 0 && bytes > messageBytes) break;
    count += 1;
  }
  return list.splice(0, count);
};
