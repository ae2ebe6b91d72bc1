/** The part of a process that is started and stopped: the same shape as `Service` of `@skein/service-kit`. */
export interface Service {
  readonly id: string;
  /** Resolves when it is ready to be used. */
  run(): Promise<void>;
  /** Resolves when nothing of it is left running. */
  stop(): Promise<void>;
}
