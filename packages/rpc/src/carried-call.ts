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

/** What goes in one message, well below the 4 MB of a gRPC message; a larger answer goes alone. */
export const messageBytes = 1_000_000;
/** Numbers, tags and lengths beside the texts of a call or an answer. */
const framingBytes = 64;

/** The first ones, as many as fit one message. `partsOf` gives what takes room in it. */
export const oneMessage = <T>(
  list: Iterable<T>,
  partsOf: (one: T) => readonly { readonly length: number }[],
): T[] => {
  const taken: T[] = [];
  let bytes = 0;
  for (const one of list) {
    bytes += framingBytes;
    for (const { length } of partsOf(one)) bytes += length;
    if (taken.length > 0 && bytes > messageBytes) break;
    taken.push(one);
  }
  return taken;
};
