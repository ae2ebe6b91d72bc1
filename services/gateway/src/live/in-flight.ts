/** Requests of one socket that are being worked on. */
export class InFlight {
  private count = 0;
  private waiting: (() => void) | undefined;

  get size(): number {
    return this.count;
  }

  began(): void {
    this.count += 1;
  }

  ended(): void {
    this.count -= 1;
    if (this.count === 0) this.waiting?.();
  }

  /** Resolves as soon as there is none; for one who waits. */
  async none(): Promise<void> {
    if (this.count === 0) return;
    await new Promise<void>((resolve) => {
      this.waiting = resolve;
    });
  }
}
