import type { Clock } from '@skein/sync-client';

/** Runs something as often as it is asked for, but not more often than its pace allows. */
export interface Paced {
  /** Runs at once, or once the pace allows; asked for several times meanwhile, it runs once. */
  ask(everyMs: number): void;
  /** Forgets what was asked for. */
  stop(): void;
}

/** What is asked for without pause still runs, once in every `everyMs`; the shortest of those asked for counts. */
export function paced(clock: Clock, run: () => void): Paced {
  let ranMs = Number.NEGATIVE_INFINITY;
  let due: { readonly atMs: number; readonly cancel: () => void } | undefined;
  return {
    ask: (everyMs) => {
      const atMs = Math.max(clock.now(), ranMs + everyMs);
      if (due !== undefined && due.atMs <= atMs) return;
      due?.cancel();
      const go = (): void => {
        due = undefined;
        ranMs = clock.now();
        run();
      };
      due = { atMs, cancel: clock.after(atMs - clock.now(), go) };
    },
    stop: () => {
      due?.cancel();
      due = undefined;
    },
  };
}
