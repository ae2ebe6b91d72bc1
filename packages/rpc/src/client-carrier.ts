import { status } from '@grpc/grpc-js';
import { AppError, toAppError } from '@skein/contracts';
import { rootContext } from './call-context.ts';
import {
  type CarriedAnswer,
  type CarriedAnswers,
  type CarriedCall,
  type CarriedCalls,
  messageBytes,
  onceIn,
  oneMessage,
} from './carried-call.ts';
import { type Carried, type Carrier, type ClientMethod, endOf, offEnd, onEnd } from './client-call.ts';
import { bidiStream } from './client-stream.ts';
import { bareStatus, faultOf, readStatus } from './fault.ts';

/** Before a stream that broke is opened again, and one that the other side does not know. */
const againMs = { broken: 1_000, unknown: 60_000 };

/** A tenth kept back on each hop leaves fractions, which the wire has no place for. */
const timeLeft = (deadlineMs: number): number => Math.max(0, Math.ceil(deadlineMs - Date.now()));

interface UnderWay extends Carried {
  readonly timer: NodeJS.Timeout;
  readonly cancel: () => void;
}

const partsOf = ([, call]: readonly [number, Carried]) => {
  const { request, token, traceparent = '', ctx } = call;
  return [request, token, traceparent, ctx.correlationId];
};

/** One stream: the calls that wait to be written, and those that wait for their answer. */
class Lane implements AsyncIterable<CarriedCalls> {
  /** The other side has said that it takes calls. */
  open = false;
  readonly #path: string;
  readonly #underWay = new Map<number, UnderWay>();
  /** Those of them that are not written yet. */
  readonly #unsent = new Map<number, Carried>();
  /** Written, and given up since. */
  readonly #cancelled: number[] = [];
  /** Calls that come from several sockets in one turn of the loop go in one message. */
  readonly #later = onceIn(setImmediate, () => this.#wake());
  #last = 0;
  #leaving = false;
  #wake = () => {};

  constructor(path: string) {
    this.#path = path;
  }

  send(call: Carried): void {
    const { ctx, deadlineMs } = call;
    this.#last += 1;
    const number = this.#last;
    const giveUp = (fault: AppError) => {
      if (!this.#unsent.delete(number)) {
        this.#cancelled.push(number);
        this.#later();
      }
      this.#take(number)?.listener.failed(fault);
    };
    const late = () => giveUp(faultOf(bareStatus(status.DEADLINE_EXCEEDED, 'no answer in time'), this.#path));
    const cancel = () => giveUp(endOf(ctx.signal));
    this.#underWay.set(number, { ...call, cancel, timer: setTimeout(late, timeLeft(deadlineMs)) });
    this.#unsent.set(number, call);
    onEnd(ctx.signal, cancel);
    this.#later();
  }

  answer({ number, response, ...written }: CarriedAnswer, deserialize: (bytes: Buffer) => unknown): void {
    // Nobody waits for one that was given up.
    const call = this.#take(number);
    if (!call) return;
    if (written.status !== status.OK) {
      call.listener.failed(faultOf(readStatus(written), this.#path));
      return;
    }
    let value: unknown;
    try {
      value = deserialize(response);
    } catch (cause) {
      call.listener.failed(new AppError('internal', undefined, { cause }));
      return;
    }
    call.listener.answered(value);
  }

  /** No new calls: it ends when those under way are answered. */
  leave(): void {
    this.#leaving = true;
    this.#wake();
  }

  /** The stream is gone, and with it what was under way. */
  lost(fault: AppError): void {
    this.leave();
    this.#unsent.clear();
    for (const number of [...this.#underWay.keys()]) this.#take(number)?.listener.failed(fault);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<CarriedCalls> {
    for (;;) {
      if (this.#unsent.size > 0 || this.#cancelled.length > 0) {
        yield { calls: this.#write(), cancelled: this.#cancelled.splice(0) };
        continue;
      }
      if (this.#leaving && this.#underWay.size === 0) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #write(): CarriedCall[] {
    return oneMessage(this.#unsent, partsOf).map(([number, call]) => {
      this.#unsent.delete(number);
      const { token: authorization, traceparent = '', request, ctx, deadlineMs } = call;
      const { correlationId } = ctx;
      return { number, authorization, traceparent, correlationId, timeoutMs: timeLeft(deadlineMs), request };
    });
  }

  #take(number: number): UnderWay | undefined {
    const call = this.#underWay.get(number);
    if (!call) return undefined;
    this.#underWay.delete(number);
    clearTimeout(call.timer);
    offEnd(call.ctx.signal, call.cancel);
    if (this.#leaving) this.#wake();
    return call;
  }
}

/** The carrier of a method over a streaming method of the same service. It opens its stream when it is first asked. */
export const carrier = (carried: ClientMethod, stream: ClientMethod): Carrier => {
  const closed = new AbortController();
  let current: Lane | undefined;
  let openAtMs = 0;

  /** What became of the stream says nothing about any one call: they are lost as with a broken connection. */
  const streamEnded = (how: string): AppError =>
    faultOf(bareStatus(status.UNAVAILABLE, `its stream ended: ${how}`), carried.path);

  const run = async (lane: Lane): Promise<void> => {
    const ctx = rootContext({ timeoutMs: Number.POSITIVE_INFINITY, signal: closed.signal });
    try {
      for await (const message of bidiStream(stream, lane, ctx)) {
        const { answers, ending } = message as CarriedAnswers;
        lane.open = true;
        for (const answer of answers) lane.answer(answer, carried.deserialize);
        if (!ending) continue;
        if (current === lane) current = undefined;
        lane.leave();
      }
      lane.lost(streamEnded('without a fault'));
    } catch (error) {
      const fault = toAppError(error);
      openAtMs = Date.now() + (fault.code === 'not_implemented' ? againMs.unknown : againMs.broken);
      lane.lost(closed.signal.aborted ? fault : streamEnded(fault.code));
    } finally {
      if (current === lane) current = undefined;
    }
  };

  return {
    send: (call) => {
      // What is too large for the other side must not end the stream of all others.
      if (call.request.length > messageBytes) return false;
      if (current?.open) {
        current.send(call);
        return true;
      }
      if (!current && !closed.signal.aborted && stream.connection.ready && Date.now() >= openAtMs) {
        current = new Lane(carried.path);
        void run(current);
      }
      return false;
    },
    close: () => closed.abort(new AppError('cancelled', 'the client was stopped')),
  };
};
