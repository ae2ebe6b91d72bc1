import type { EventFrame } from './frame.ts';

/** Bytes that all rings of a process share. */
export interface RingBudget {
  used: number;
  readonly max: number;
}

/** What one ring may hold. */
export interface RingLimits {
  readonly count: number;
  readonly bytes: number;
}

/** Frames a ring keeps although the process is over its budget: enough for a short cut of the line. */
const kept = 16;

/** The newest events of a space as encoded frames, without gaps, bounded by count and bytes. */
export class Ring {
  private frames: EventFrame[] = [];
  private start = 0;
  private bytes = 0;
  private readonly limits: RingLimits;
  private readonly budget: RingBudget;

  constructor(limits: RingLimits, budget: RingBudget) {
    this.limits = limits;
    this.budget = budget;
  }

  /** The lowest offset that is here; 0 when it is empty. */
  get first(): number {
    return this.frames[this.start]?.offset ?? 0;
  }

  /** Adds the next event; one that does not follow empties the ring first. */
  push(frame: EventFrame): void {
    const newest = this.frames.at(-1);
    if (newest && newest.offset + 1 !== frame.offset) this.clear();
    this.frames.push(frame);
    this.count(frame.wire.length);
    this.trim();
  }

  /** Adds older events that end right before the first one (or at `head`), when there is room for all. */
  prepend(events: readonly EventFrame[], head: number): void {
    const end = this.first || head + 1;
    const older = events.filter((frame) => frame.offset < end);
    if (older.at(-1)?.offset !== end - 1) return;
    const bytes = older.reduce((sum, frame) => sum + frame.wire.length, 0);
    const count = this.frames.length - this.start + older.length;
    if (count > this.limits.count || this.bytes + bytes > this.limits.bytes || this.over(bytes)) return;
    this.frames = [...older, ...this.frames.slice(this.start)];
    this.start = 0;
    this.count(bytes);
  }

  /** Up to `limit` events after an offset; undefined when the one right after it is not here. */
  after(offset: number, limit: number): readonly EventFrame[] | undefined {
    const first = this.first;
    if (first === 0 || offset + 1 < first) return undefined;
    const from = this.start + (offset + 1 - first);
    return this.frames.slice(from, from + limit);
  }

  /** Id of the event at an offset, when it is here. */
  idAt(offset: number): string | undefined {
    const first = this.first;
    return first === 0 || offset < first ? undefined : this.frames[this.start + offset - first]?.id;
  }

  /** Lets everything go. */
  clear(): void {
    this.frames = [];
    this.start = 0;
    this.count(-this.bytes);
  }

  private over(more: number): boolean {
    return this.budget.used + more > this.budget.max;
  }

  private count(bytes: number): void {
    this.bytes += bytes;
    this.budget.used += bytes;
  }

  private trim(): void {
    while (this.frames.length - this.start > 1) {
      const length = this.frames.length - this.start;
      const full = length > this.limits.count || this.bytes > this.limits.bytes;
      if (!full && !(length > kept && this.over(0))) break;
      const oldest = this.frames[this.start];
      if (!oldest) break;
      this.count(-oldest.wire.length);
      this.start += 1;
    }
    // Moving the array at every step would cost its length each time.
    if (this.start > 64 && this.start * 2 > this.frames.length) {
      this.frames = this.frames.slice(this.start);
      this.start = 0;
    }
  }
}
