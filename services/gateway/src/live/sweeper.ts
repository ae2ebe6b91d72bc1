import type { Clock, Service } from '@skein/service-kit';

/** A round is done in parts at least this far apart: thousands of sockets in one go would hold everybody's events up. */
const partMs = 50;

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
    const parts = Math.max(1, Math.floor(this.everyMs / partMs));
    // Goes on where it was, whatever came and went meanwhile.
    let round = this.swept.values();
    let left = 0;
    let part = 0;
    this.timer = setInterval(() => {
      if (part === 0) {
        round = this.swept.values();
        left = this.swept.size;
      }
      const now = this.clock.now();
      const share = Math.ceil(left / (parts - part));
      for (let n = 0; n < share; n += 1) {
        const next = round.next();
        if (next.done) break;
        next.value.sweep(now);
      }
      left -= share;
      part = (part + 1) % parts;
    }, this.everyMs / parts);
    this.timer.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
  }
}
