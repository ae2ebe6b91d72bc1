import type { Clock, Service } from '@skein/service-kit';

/** A round is done in parts at least this far apart: thousands of sockets in one go would hold everybody's events up. */
const partMs = 50;
/** And of no fewer than this: a quiet gateway wakes up once a round. */
const perPart = 50;

/** Something with times to keep. Called every round; never throws. */
export interface Swept {
  sweep(nowMs: number): void;
}

/** One timer for all connections instead of several each: an idle socket costs no timer. */
export class Sweeper implements Service {
  readonly id = 'connection sweeper';
  private readonly swept = new Set<Swept>();
  private readonly clock: Clock;
  private readonly everyMs: number;
  private timer: NodeJS.Timeout | undefined;

  constructor(clock: Clock, everyMs: number) {
    this.clock = clock;
    this.everyMs = everyMs;
  }

  add(one: Swept): void {
    this.swept.add(one);
  }

  remove(one: Swept): void {
    this.swept.delete(one);
  }

  async run(): Promise<void> {
    this.beginRound();
  }

  async stop(): Promise<void> {
    clearTimeout(this.timer);
  }

  private beginRound(): void {
    const { size } = this.swept;
    const most = Math.max(1, Math.floor(this.everyMs / partMs));
    const parts = Math.min(most, Math.max(1, Math.ceil(size / perPart)));
    this.goOn(this.swept.values(), size, parts, this.everyMs / parts);
  }

  /** The next part of a round: where the one before ended, whatever came and went meanwhile. */
  private goOn(round: Iterator<Swept>, left: number, parts: number, pauseMs: number): void {
    this.timer = setTimeout(() => {
      const now = this.clock.now();
      const share = Math.ceil(left / parts);
      for (let n = 0; n < share; n += 1) {
        const next = round.next();
        if (next.done) break;
        next.value.sweep(now);
      }
      if (parts > 1) this.goOn(round, left - share, parts - 1, pauseMs);
      else this.beginRound();
    }, pauseMs);
    this.timer.unref();
  }
}
