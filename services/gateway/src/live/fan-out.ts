import { type Batch, batchOf, type EphemeralFrame, type EventFrame } from './frame.ts';

/** Who can be given frames. Called synchronously; never throws. */
export interface Receiver {
  /** Frames in order; events continue exactly where the ones before ended. */
  deliver(batch: Batch): void;
}

/** Receivers served in one turn of the event loop: about 10 ms, so that everybody else gets a turn as well. */
const perTurn = 2_000;
/** Frames that may gather while a round goes on, and rounds that may wait; beyond it all is handed out at once. */
const maxGathered = 4_096;
const maxRounds = 64;

interface Round<R> {
  readonly batch: Batch;
  readonly targets: readonly R[];
  next: number;
}

/**
 * Hands the frames of one space to all who follow it. Frames of one turn are one batch; a large crowd is served over
 * several turns, during which the next batch gathers. Everybody gets every batch whole and in order, from the one
 * after joining to the one before leaving.
 */
export class FanOut<R extends Receiver> {
  private readonly space: string;
  /** Runs a task after what is readable now has been read. */
  private readonly defer: (task: () => void) => void;
  private readonly crowd = new Set<R>();
  private gathered: (EventFrame | EphemeralFrame)[] = [];
  private rounds: Round<R>[] = [];
  private scheduled = false;
  private readonly handed: (batch: Batch, receivers: number) => void;

  /** `handed` is told of every batch once all it was for have it. */
  constructor(
    space: string,
    defer: (task: () => void) => void,
    handed: (batch: Batch, receivers: number) => void = () => {},
  ) {
    this.space = space;
    this.defer = defer;
    this.handed = handed;
  }

  get size(): number {
    return this.crowd.size;
  }

  [Symbol.iterator](): Iterator<R> {
    return this.crowd[Symbol.iterator]();
  }

  /** From here on; what was put in before is for those who were there. */
  join(one: R): void {
    this.seal();
    this.crowd.add(one);
  }

  /** Gets nothing more, also of what was put in before. */
  leave(one: R): void {
    this.crowd.delete(one);
  }

  /** Gets at once all that was put in, then nothing more. */
  dismiss(one: R): void {
    this.seal();
    for (const round of this.rounds)
      if (round.targets.indexOf(one, round.next) >= 0 && this.crowd.has(one)) one.deliver(round.batch);
    this.crowd.delete(one);
  }

  /** For everybody. */
  put(frame: EventFrame | EphemeralFrame): void {
    if (this.crowd.size === 0) return;
    if (this.gathered.length >= maxGathered) this.drain();
    this.gathered.push(frame);
    this.schedule();
  }

  /** For some, behind all that was put in before. */
  putFor(frame: EphemeralFrame, wanted: (one: R) => boolean): void {
    this.seal();
    this.add(batchOf(this.space, [frame]), [...this.crowd].filter(wanted));
  }

  /** Everybody who was there, after having got everything; nobody is any more. */
  dismissAll(): R[] {
    this.drain();
    const all = [...this.crowd];
    this.crowd.clear();
    return all;
  }

  /** Drops what was put in. */
  close(): void {
    this.gathered = [];
    this.rounds = [];
  }

  private take(): Batch {
    const batch = batchOf(this.space, this.gathered);
    this.gathered = [];
    return batch;
  }

  private drain(): void {
    this.seal();
    this.serve(Number.POSITIVE_INFINITY);
  }

  private seal(): void {
    if (this.gathered.length > 0) this.add(this.take(), [...this.crowd]);
  }

  private add(batch: Batch, targets: readonly R[]): void {
    if (targets.length === 0) return;
    if (this.rounds.length >= maxRounds) this.serve(Number.POSITIVE_INFINITY);
    this.rounds.push({ batch, targets, next: 0 });
    this.schedule();
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    this.defer(() => {
      this.scheduled = false;
      this.turn();
    });
  }

  private turn(): void {
    if (this.rounds.length === 0 && this.gathered.length > 0) {
      if (this.crowd.size <= perTurn) {
        // The usual case, without a copy of the crowd.
        const batch = this.take();
        const receivers = this.crowd.size;
        for (const one of this.crowd) one.deliver(batch);
        this.handed(batch, receivers);
        return;
      }
      this.seal();
    }
    this.serve(perTurn);
    if (this.rounds.length > 0 || this.gathered.length > 0) this.schedule();
  }

  private serve(most: number): void {
    let left = most;
    for (let round = this.rounds[0]; round && left > 0; round = this.rounds[0]) {
      while (round.next < round.targets.length && left > 0) {
        const one = round.targets[round.next] as R;
        round.next += 1;
        left -= 1;
        if (this.crowd.has(one)) one.deliver(round.batch);
      }
      if (round.next === round.targets.length && this.rounds[0] === round) {
        this.rounds.shift();
        this.handed(round.batch, round.targets.length);
      }
    }
  }
}
