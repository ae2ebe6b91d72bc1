import type { Json } from '@skein/sync-core';

/** The documents that hold a person's settings. */
export type SettingsOf = 'session' | 'user_preferences';
type Values = Readonly<Record<string, Json>>;

/** Settings chosen before anything is known of the own space, which would overwrite them when it comes. */
export interface Settings {
  /** Writes now, or once the space is known. */
  put(of: SettingsOf, values: Values): void;
  /** What is known of a document, with what was chosen since. */
  over(of: SettingsOf, known: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>>;
  /** The space is known now. */
  known(): void;
  /** The person is gone. */
  clear(): void;
}

/** Settings written by `write`, as soon as `ready`. */
export function createSettings(
  ready: () => boolean,
  write: (of: SettingsOf, values: Values) => void,
): Settings {
  let early: Partial<Record<SettingsOf, Values>> = {};
  return {
    put: (of, values) => {
      if (ready()) write(of, values);
      else early = { ...early, [of]: { ...early[of], ...values } };
    },
    over: (of, known) => ({ ...known, ...early[of] }),
    known: () => {
      const chosen = early;
      early = {};
      for (const of of ['session', 'user_preferences'] as const) {
        const values = chosen[of];
        if (values !== undefined) write(of, values);
      }
    },
    clear: () => {
      early = {};
    },
  };
}
