/** Wakes those who wait for something to happen in this process. */
export interface Bell {
  ring(): void;
  /** Resolves at the next ring, after `pauseMs`, or when the signal aborts, whichever is first. */
  heard(signal: AbortSignal): Promise<void>;
}

/** A bell whose listeners look up by themselves every `pauseMs`. */
export const bell = (pauseMs: number): Bell => {
  const listeners = new Set<() => void>();
  return {
    ring: () => {
      for (const wake of listeners) wake();
    },
    heard: (signal) =>
      new Promise((resolve) => {
        const wake = () => {
          clearTimeout(timer);
          signal.removeEventListener('abort', wake);
          listeners.delete(wake);
          resolve();
        };
        const timer = setTimeout(wake, pauseMs);
        listeners.add(wake);
        signal.addEventListener('abort', wake, { once: true });
        if (signal.aborted) wake();
      }),
  };
};
