import type { Clock, Service } from '@skein/service-kit';

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
    this.timer = setInterval(() => {
      const now = this.clock.now();
      for (const one of this.swept) one.sweep(now);
    }, this.everyMs);
    this.timer.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
  }
}
