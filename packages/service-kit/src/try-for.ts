import { setTimeout as delay } from 'node:timers/promises';

/** How `tryFor` goes on. */
export interface TryForOptions {
  /** After this long no further attempt begins. */
  readonly waitMs: number;
  /** Between two attempts. */
  readonly pauseMs: number;
  /** Whether waiting cannot help, such as with a wrong password. */
  readonly hopeless?: (error: unknown) => boolean;
}

/** Tries until it works; rejects with the last error when the time is up or waiting cannot help. */
export const tryFor = async <T>(
  { waitMs, pauseMs, hopeless = () => false }: TryForOptions,
  attempt: () => Promise<T>,
): Promise<T> => {
  const started = performance.now();
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (hopeless(error) || performance.now() - started + pauseMs > waitMs) throw error;
    }
    await delay(pauseMs);
  }
};
