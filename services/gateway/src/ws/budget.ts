import { AppError } from '@skein/contracts';
import type { Limits } from '../ports.ts';

/** Refusals in this time end a connection. */
const windowMs = 10_000;
const maxRefusals = 10;
/** Frames without an answer (ping, ack, typing) a socket may send a second. */
const maxCheapPerSecond = 100;

/** What one connection may still send. Requests are counted for the person, over all sockets and REST. */
export class FrameBudget {
  private readonly limits: Limits;
  private refusals: number[] | undefined;
  private second = 0;
  private cheap = 0;

  constructor(limits: Limits) {
    this.limits = limits;
  }

  /** Counts a request, each mutation of a batch as one; AppError `rate_limited` above the rate. */
  request(userId: string, cost = 1): void {
    const verdict = this.limits.message(userId, cost);
    if (verdict.ok) return;
    throw new AppError('rate_limited', undefined, { retryAfterMs: Math.ceil(verdict.retryAfterMs) });
  }

  /** Counts a frame that has no answer. False above the rate. */
  passes(nowMs: number): boolean {
    const second = Math.floor(nowMs / 1_000);
    if (second !== this.second) {
      this.second = second;
      this.cheap = 0;
    }
    this.cheap += 1;
    return this.cheap <= maxCheapPerSecond;
  }

  /** Counts a refusal; true when there were too many: the client does not listen. */
  refused(nowMs: number): boolean {
    this.refusals ??= [];
    const { refusals } = this;
    refusals.push(nowMs);
    if (refusals.length > maxRefusals) refusals.shift();
    const [first] = refusals;
    return refusals.length === maxRefusals && first !== undefined && nowMs - first <= windowMs;
  }
}
