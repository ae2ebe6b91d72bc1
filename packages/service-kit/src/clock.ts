/** Wall-clock time, as an argument: milliseconds since the epoch. */
export interface Clock {
  now(): number;
}

/** The clock of this machine. */
export const systemClock: Clock = { now: () => Date.now() };

/** The value, or a crash: for what the code above has already made sure of. */
export const must = <T>(value: T | null | undefined, message: string): T => {
  if (value === null || value === undefined) throw new Error(`bug: ${message}`);
  return value;
};
