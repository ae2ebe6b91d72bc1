/** A process of the simulated mesh: what it has asked for is never answered once it is dead. */
export interface Machine {
  readonly name: string;
  /** How far its clock is off. */
  readonly skewMs: number;
  readonly alive: boolean;
  /** Ends it without a word, as `kill -9` does. */
  kill(): void;
  /** Told when it dies: lines are cut, streams break. */
  onDeath(listener: () => void): () => void;
}

/** A process that has just been started. */
export const startMachine = (name: string, skewMs: number): Machine => {
  const listeners = new Set<() => void>();
  let alive = true;
  return {
    name,
    skewMs,
    get alive() {
      return alive;
    },
    kill: () => {
      alive = false;
      for (const listener of [...listeners]) listener();
      listeners.clear();
    },
    onDeath: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
};
