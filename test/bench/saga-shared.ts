/** An engine that runs sagas of no-op steps, durably. */
export interface Engine {
  /** Resolves when a saga of that many steps has ended. */
  run(steps: 1 | 5): Promise<void>;
  /** What it is made of beside this process and Postgres. */
  readonly servers: readonly number[];
  stop(): Promise<void>;
}

/** One closed loop. */
export interface Order {
  readonly steps: 1 | 5;
  readonly atOnce: number;
  readonly seconds: number;
}

/** What it gave. */
export interface Delivered {
  readonly sagas: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  /** Of this process and the engine's servers. */
  readonly cpuMs: number;
}
