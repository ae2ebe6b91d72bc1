/** A loop's wait that can be cut short. */
export interface Alarm {
  /** Resolves after a while, when `wake` is called, or when what `dueIn` told of is due; never at once. */
  wait(ms: number): Promise<void>;
  /** Ends the wait; one that comes before the wait ends the next one. */
  wake(): void;
  /** Something is to be done by then. */
  dueIn(ms: number): void;
}

/** An alarm for one waiter. `minMs` is the shortest wait that is not woken, so that a busy loop is no endless one. */
export const alarm = (minMs: number): Alarm => {
  let dueAt = Number.POSITIVE_INFINITY;
  let woken = false;
  let end: (() => void) | undefined;
  let arm: (() => void) | undefined;
  return {
    wait: (ms) =>
      new Promise((resolve) => {
        const until = performance.now() + ms;
        let timer: NodeJS.Timeout | undefined;
        end = () => {
          clearTimeout(timer);
          end = undefined;
          arm = undefined;
          woken = false;
          dueAt = Number.POSITIVE_INFINITY;
          resolve();
        };
        arm = () => {
          clearTimeout(timer);
          timer = setTimeout(() => end?.(), Math.max(minMs, Math.min(until, dueAt) - performance.now()));
        };
        if (woken) end();
        else arm();
      }),
    wake: () => {
      woken = true;
      end?.();
    },
    dueIn: (ms) => {
      const at = performance.now() + ms;
      if (at >= dueAt) return;
      dueAt = at;
      arm?.();
    },
  };
};
